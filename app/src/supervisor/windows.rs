//! A Windows service: the states it reports, and where its logs go.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::service_dispatcher;

use crate::log::{EventKind, EventLog, LogFiles, start_service_log};
use crate::print::told;
use crate::{Exit, LogFormat, ServiceName, complain, stop_requested};

/// Recovery replays the journal: seconds, on a slow disk perhaps a minute.
const START_WITHIN: Duration = Duration::from_secs(180);
/// Stopping waits for a last sync.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// What `StartServiceCtrlDispatcher` says to a program that was not started as a service.
const NOT_A_SERVICE: i32 = 1063;

/// The link to whoever started this process.
#[derive(Clone, Debug)]
pub struct Supervisor(Option<Arc<Service>>);

impl Supervisor {
    pub(crate) fn of_process() -> Supervisor {
        Supervisor(None)
    }

    /// Returns when the program is asked to stop.
    pub async fn stop_requested(&self) {
        match &self.0 {
            // Not the console's events: a service is sent one whenever anybody logs off.
            Some(service) => {
                let mut stop = service.stop.subscribe();
                // The sender lives as long as the service.
                drop(stop.wait_for(|&stop| stop).await);
            }
            None => stop_requested().await,
        }
    }

    /// The program does its work from now on.
    pub fn ready(&self) {
        if let Some(service) = &self.0 {
            service.report(ServiceState::Running, ServiceExitCode::NO_ERROR);
            service.events.tell(EventKind::Information, "started");
        }
    }

    /// The program has begun to stop.
    pub fn stopping(&self) {
        if let Some(service) = &self.0 {
            service.report(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
        }
    }

    /// For a system's watchdog; Windows has none for services.
    pub async fn watch(&self, _turns: impl Fn() -> u64) {}
}

/// This process as the service control manager knows it.
#[derive(Debug)]
struct Service {
    name: ServiceName,
    stop: watch::Sender<bool>,
    status: OnceLock<ServiceStatusHandle>,
    events: EventLog,
}

impl Service {
    fn report(&self, state: ServiceState, exit_code: ServiceExitCode) {
        let accepted = match state {
            ServiceState::Running => {
                // Before the shutdown, when the network is still there and the others can be told; and at
                // the shutdown, for whoever shuts down without that.
                ServiceControlAccept::STOP
                    | ServiceControlAccept::SHUTDOWN
                    | ServiceControlAccept::PRESHUTDOWN
            }
            _ => ServiceControlAccept::empty(),
        };
        let wait_hint = match state {
            ServiceState::StartPending => START_WITHIN,
            ServiceState::StopPending => STOP_WITHIN,
            _ => Duration::ZERO,
        };
        let status = ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted: accepted,
            exit_code,
            checkpoint: 0,
            wait_hint,
            process_id: None,
        };
        if let Some(handle) = self.status.get()
            && let Err(error) = handle.set_service_status(status)
        {
            tracing::error!(?error, ?state, "Windows could not be told about the service's state");
        }
    }

    /// After one of the requests to stop, the handler must not be called with another: so no more of them
    /// are accepted before it returns.
    fn control(&self, control: &ServiceControl) -> ServiceControlHandlerResult {
        match control {
            ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
                self.report(ServiceState::StopPending, ServiceExitCode::NO_ERROR);
                self.stop.send_replace(true);
                ServiceControlHandlerResult::NoError
            }
            ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
            _ => ServiceControlHandlerResult::NotImplemented,
        }
    }
}

type Body = Box<dyn FnOnce(&Supervisor) -> anyhow::Result<Exit> + Send>;
type ExitOf = fn(&anyhow::Error) -> Exit;

/// What the service's main function is to do: Windows calls it with nothing but text.
static ASSIGNMENT: Mutex<Option<Assignment>> = Mutex::new(None);

struct Assignment {
    name: ServiceName,
    log_format: LogFormat,
    exit_of: ExitOf,
    body: Body,
}

/// Runs `body` as the service `name`, until it returns.
pub(super) fn run_service(
    program: &str,
    name: &ServiceName,
    log_format: LogFormat,
    exit_of: ExitOf,
    body: Body,
) -> Exit {
    let assignment = Assignment { name: name.clone(), log_format, exit_of, body };
    *ASSIGNMENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(assignment);
    match service_dispatcher::start(name.as_str(), service_main) {
        Ok(()) => Exit::Done,
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(NOT_A_SERVICE) => {
            complain(format_args!(
                "{program}: --as-service is for Windows, which starts the service; nothing was started; start it with: net start {name}"
            ));
            Exit::Usage
        }
        Err(error) => {
            let text = format!("cannot run as a service: {error:?}");
            // There is nowhere else to say it.
            let _taken = EventLog::report(name.as_str(), EventKind::Error, &text);
            Exit::Failed
        }
    }
}

/// Called by Windows, on a thread of its own. The arguments stand on the command line too.
extern "system" fn service_main(_: u32, _: *mut *mut u16) {
    let assignment = ASSIGNMENT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Assignment { name, log_format, exit_of, body }) = assignment else { return };
    // Without a thread there is no service either.
    let Ok(events) = EventLog::start(name.as_str()) else { return };
    let service = Arc::new(Service {
        name: name.clone(),
        stop: watch::channel(false).0,
        status: OnceLock::new(),
        events,
    });
    let controlled = service.clone();
    let handle =
        match service_control_handler::register(name.as_str(), move |control| controlled.control(&control)) {
            Ok(handle) => handle,
            Err(error) => {
                let text = format!("cannot take requests to stop, and so does not start: {error:?}");
                service.events.tell(EventKind::Error, &text);
                service.events.finish();
                return;
            }
        };
    service.status.get_or_init(|| handle);
    service.report(ServiceState::StartPending, ServiceExitCode::NO_ERROR);
    let exit = run_body(&service, log_format, exit_of, body);
    // Anything but zero is a failure, after which Windows starts the service again. Where that cannot help the
    // event log has the reason, and the service stays as it is: stopped.
    let code = if exit == Exit::Done || exit.is_final() {
        ServiceExitCode::NO_ERROR
    } else {
        ServiceExitCode::ServiceSpecific(exit.code().into())
    };
    service.report(ServiceState::Stopped, code);
}

fn run_body(service: &Arc<Service>, log_format: LogFormat, exit_of: ExitOf, body: Body) -> Exit {
    let name = service.name.as_str();
    let log = match LogFiles::open(&log_folder(), name) {
        Ok(files) => Some(start_service_log(log_format, "info", files, service.events.clone())),
        Err(error) => {
            // A wall without logs is better than no wall.
            let text = format!("no log is written to {}: {error}", log_folder().display());
            service.events.tell(EventKind::Error, &text);
            None
        }
    };
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let done = body(&Supervisor(Some(service.clone())));
    drop(log);
    let exit = match done {
        Ok(exit) => {
            service.events.tell(EventKind::Information, "stopped");
            exit
        }
        Err(error) => {
            service.events.tell(EventKind::Error, &told(&error));
            exit_of(&error)
        }
    };
    service.events.finish();
    exit
}

/// `%ProgramData%\Prevalent\logs`.
fn log_folder() -> PathBuf {
    let data = std::env::var_os("ProgramData").unwrap_or_else(|| OsString::from(r"C:\ProgramData"));
    PathBuf::from(data).join("Prevalent").join("logs")
}
