//! Runs both conversations and tells what was said: on a Cortex-M4 without an operating system, through a debugger or
//! qemu (semihosting), and on a machine that has one, to its standard output.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board {
    //! What starts, and what ends. A fault stops the board where it is: the debugger sees it, and who waits for the end
    //! does so in vain.

    use core::fmt::Write;
    use core::panic::PanicInfo;

    use cortex_m_rt::entry;
    use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
    use cortex_m_semihosting::hio;
    use windlass_bare::Memory;

    #[entry]
    fn main() -> ! {
        // `entry` lends it once, for ever: it lies beside the stack and not on it.
        static mut MEMORY: Memory = Memory::new();
        if let Ok(mut out) = hio::hstdout() {
            match windlass_bare::run(MEMORY, &mut out) {
                Ok(()) => debug::exit(EXIT_SUCCESS),
                Err(failure) => _ = writeln!(out, "failed: {failure:?}"),
            }
        }
        stop()
    }

    #[panic_handler]
    fn panicked(info: &PanicInfo<'_>) -> ! {
        if let Ok(mut out) = hio::hstdout() {
            _ = writeln!(out, "{info}");
        }
        stop()
    }

    fn stop() -> ! {
        loop {
            debug::exit(EXIT_FAILURE);
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;

    let mut said = String::new();
    let result = windlass_bare::run(&mut windlass_bare::Memory::new(), &mut said);
    let told = std::io::stdout().write_all(said.as_bytes());
    if let Err(failure) = result {
        _ = writeln!(std::io::stderr(), "failed: {failure:?}");
    }
    if result.is_ok() && told.is_ok() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}
