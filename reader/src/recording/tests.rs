use riptide_region::{bins::Bin, stack_table::StackTotals};

use super::{
    figures::{self, Figures, Row, SampleKey},
    wire::{self, FRAME_HEADER_BYTES, FrameHeader},
    *,
};
use crate::profile::{FreshMemory, TargetState};

#[test]
fn numbers_of_every_size_come_back() {
    let numbers = [
        0,
        1,
        127,
        128,
        300,
        u64::from(u32::MAX),
        u64::MAX - 1,
        u64::MAX,
    ];
    let mut bytes = Vec::new();
    for number in numbers {
        wire::put(&mut bytes, number);
        wire::put_difference(&mut bytes, 77, number);
    }
    let mut read = Numbers(&bytes);
    for number in numbers {
        assert_eq!(read.get(), Some(number));
        assert_eq!(read.difference(77), Some(number));
    }
    assert_eq!(read.get(), None);
    // One that never ends.
    assert_eq!(Numbers(&[0xff; 20]).get(), None);
}

#[test]
fn a_count_takes_no_more_than_there_is() {
    let mut bytes = Vec::new();
    wire::put(&mut bytes, u64::MAX);
    bytes.extend([0; 8]);
    assert_eq!(Numbers(&bytes).count(), None);
    assert_eq!(Numbers(&bytes).bytes(), None);
    assert_eq!(figures::get_row(&mut Numbers(&bytes), &[], 99), None);
}

#[test]
fn a_flipped_bit_of_a_frame_is_seen() {
    let payload = b"what was looked at, what was looked at, what was looked at";
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, Kind::Look, 3, 99, payload).unwrap();
    let read = |frame: &[u8]| {
        let (head, stored) = frame.split_at(FRAME_HEADER_BYTES);
        let header = FrameHeader::read(head.try_into().unwrap())?;
        header.payload(stored)
    };
    assert_eq!(read(&frame).unwrap(), payload);
    for bit in 0..frame.len() * 8 {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&flipped), None, "bit {bit}");
    }
}

#[test]
fn figures_come_back_as_they_were() {
    let mut figures = Figures {
        time_ns: 5,
        fresh: FreshMemory {
            rss: Some(0),
            ..FreshMemory::default()
        },
        state: TargetState::Killed,
        uptime_seconds: Some(0.25),
        ..Figures::default()
    };
    figures.counts.cost_fraction = 0.125;
    figures.counts.budget_fraction = Some(0.0);
    figures.status.allocated = Some(7);
    figures.status.ring_heads[2] = Some(9);
    figures.bins.push(Bin {
        size: 64,
        slabs: 3,
        ..Bin::default()
    });
    let mut row = Vec::new();
    figures.pass(&mut Row::Write(&mut row));
    let mut read = Figures::default();
    read.pass(&mut Row::Read(&mut row.iter().copied()));
    let mut again = Vec::new();
    read.pass(&mut Row::Write(&mut again));
    assert_eq!(row, again);
    assert_eq!(read.state, TargetState::Killed);
    assert_eq!(read.fresh, figures.fresh);
    assert_eq!(read.status, figures.status);
    assert_eq!(read.bins, figures.bins);
    assert_eq!(read.counts, figures.counts);
}

#[test]
fn totals_and_blocks_come_back_as_they_were() {
    let mut totals = StackTotals {
        samples: 4,
        objects: 1.5,
        ..StackTotals::default()
    };
    totals.lifetimes[23] = 8;
    let mut row = Vec::new();
    figures::totals(&mut totals.clone(), &mut Row::Write(&mut row));
    assert_eq!(row.len(), figures::TOTALS_WORDS);
    let mut read = StackTotals::default();
    figures::totals(&mut read, &mut Row::Read(&mut row.into_iter()));
    assert_eq!(read, totals);

    let before: SampleKey = (9, 100, 48, 512, 3, 77, 4);
    let sample: SampleKey = (u64::MAX, 1, 0, 1, u32::MAX, 0, 255);
    let mut bytes = Vec::new();
    figures::put_sample(&mut bytes, &before, &sample);
    assert_eq!(
        figures::get_sample(&mut Numbers(&bytes), &before),
        Some(sample)
    );
}

#[test]
fn other_files_and_versions_are_told_apart() {
    use wire::FileHeader::{Damaged, Foreign, Version};
    assert_eq!(wire::read_file_header(&wire::file_header(1)), Version(1));
    assert_eq!(wire::read_file_header(&wire::file_header(7)), Version(7));
    assert_eq!(wire::read_file_header(b"something of sixteen"), Foreign);
    let mut damaged = wire::file_header(1);
    damaged[9] ^= 1;
    assert_eq!(wire::read_file_header(&damaged), Damaged);
}
