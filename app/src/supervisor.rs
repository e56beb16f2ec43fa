//! How the system and a program that runs for long speak about its life: the request to stop, and that it
//! is ready, alive, or stopping.

#[cfg(unix)]
mod systemd;
#[cfg(windows)]
mod windows;

use clap::Args;

use crate::{Exit, LogFormat, conclude, start_log};

#[cfg(unix)]
pub use systemd::Supervisor;
#[cfg(windows)]
pub use windows::Supervisor;

/// How a program that runs for long was started.
#[derive(Clone, Debug, Args)]
pub struct StartArguments {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Set by `service install`: the service's name.
    #[cfg(windows)]
    #[arg(long, hide = true, value_name = "NAME")]
    as_service: Option<crate::ServiceName>,
}

impl StartArguments {
    /// Runs the program's body, as a service if the system started it as one; `exit_of` says what its errors
    /// mean. Log lines of level info and above are written, to standard error or a service's files, unless
    /// `RUST_LOG` says otherwise.
    pub fn run(
        &self,
        program: &str,
        exit_of: fn(&anyhow::Error) -> Exit,
        body: impl FnOnce(&Supervisor) -> anyhow::Result<Exit> + Send + 'static,
    ) -> Exit {
        #[cfg(windows)]
        if let Some(name) = &self.as_service {
            return windows::run_service(program, name, self.log_format, exit_of, Box::new(body));
        }
        let log = start_log(self.log_format, "info");
        let done = body(&Supervisor::of_process());
        drop(log);
        conclude(program, done, exit_of)
    }
}
