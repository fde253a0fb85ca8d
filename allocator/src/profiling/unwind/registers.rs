//! The registers that a walk begins with.
#![expect(unsafe_code, reason = "reads registers")]

/// Registers of the function that captured them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(crate) instruction_pointer: usize,
    pub(crate) stack_pointer: usize,
    pub(crate) frame_pointer: usize,
    #[cfg(target_arch = "aarch64")]
    pub(crate) link_register: usize,
}

impl Registers {
    /// The caller's registers.
    #[inline(always)]
    pub(crate) fn capture() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let (instruction_pointer, stack_pointer, frame_pointer);
            // SAFETY: only reads registers.
            unsafe {
                core::arch::asm!(
                    "lea {ip}, [rip]",
                    "mov {sp}, rsp",
                    "mov {fp}, rbp",
                    ip = out(reg) instruction_pointer,
                    sp = out(reg) stack_pointer,
                    fp = out(reg) frame_pointer,
                    options(nomem, nostack, preserves_flags),
                );
            }
            Self {
                instruction_pointer,
                stack_pointer,
                frame_pointer,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let (instruction_pointer, stack_pointer, frame_pointer, link_register);
            // SAFETY: only reads registers.
            unsafe {
                core::arch::asm!(
                    "adr {ip}, .",
                    "mov {sp}, sp",
                    "mov {fp}, x29",
                    "mov {lr}, x30",
                    ip = out(reg) instruction_pointer,
                    sp = out(reg) stack_pointer,
                    fp = out(reg) frame_pointer,
                    lr = out(reg) link_register,
                    options(nomem, nostack, preserves_flags),
                );
            }
            Self {
                instruction_pointer,
                stack_pointer,
                frame_pointer,
                link_register,
            }
        }
    }
}
