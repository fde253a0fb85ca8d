//! The Firefox Profiler's processed profile: one allocation sample for each stack.

use std::{
    io::{self, Write},
    time::Duration,
};

use fxprof_processed_profile::{
    CategoryHandle, Frame, FrameFlags, FrameInfo, Profile, ReferenceTimestamp, SamplingInterval,
    Timestamp,
};

use super::{Capture, Metric};

pub(super) fn write(capture: &Capture, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let moment = Duration::from_nanos(u64::try_from(capture.unix_ns).unwrap_or(0));
    let reference = ReferenceTimestamp::from_duration_since_unix_epoch(moment);
    let now = Timestamp::from_nanos_since_reference(0);
    let mut profile = Profile::new(
        &format!("{}: {}", capture.title(), metric.title()),
        reference,
        SamplingInterval::from_millis(1),
    );
    // Frames are names already.
    profile.set_symbolicated(true);
    let target = &capture.snapshot.target;
    let process = profile.add_process(&target.name, target.pid, now);
    let thread = profile.add_thread(process, target.pid, now, true);
    profile.set_thread_name(thread, &capture.provenance().join("; "));
    for (number, (stack, value)) in capture.weighted(metric).enumerate() {
        let frames: Vec<FrameInfo> = stack
            .frames
            .iter()
            .rev()
            .map(|frame| FrameInfo {
                frame: Frame::Label(profile.intern_string(&frame.function)),
                category_pair: CategoryHandle::OTHER.into(),
                flags: FrameFlags::empty(),
            })
            .collect();
        let handle = profile.intern_stack_frames(thread, frames.into_iter());
        // A block for each stack: live metrics show what was kept, and nothing of it is freed.
        profile.add_allocation_sample(
            thread,
            now,
            handle,
            number as u64 + 1,
            i64::try_from(value).unwrap_or(i64::MAX),
        );
    }
    serde_json::to_writer(out, &profile).map_err(io::Error::from)
}
