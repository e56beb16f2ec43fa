//! A Windows service: how it is entered into the system, and the event log's source with it.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use windows_service::service::{
    Service as Handle, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::windows_command::command_line;
use super::{InstallArguments, Plan, ServiceError, ServiceName};
use crate::log::{EventKind, EventLog};
use crate::say;

/// Windows' numbers for "access denied", "no such kind of setting", "no such service" and "not started".
const ACCESS_DENIED: i32 = 5;
const INVALID_LEVEL: i32 = 124;
const NO_SUCH_SERVICE: i32 = 1060;
const NOT_STARTED: i32 = 1062;

/// The first restarts come quickly; Windows repeats the last for ever.
const RESTART_AFTER: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];
/// After an hour without failure the next restart comes quickly again.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// A service that has not stopped by then hangs.
const STOP_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn install(plan: &Plan, arguments: &InstallArguments) -> Result<(), ServiceError> {
    let info = info(plan);
    if arguments.print {
        let command: Vec<String> = std::iter::once(info.executable_path.as_os_str())
            .chain(info.launch_arguments.iter().map(OsString::as_os_str))
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let command = command_line(command.iter().map(String::as_str));
        say(format_args!(
            "{} ({}), started at boot, as LocalSystem:\n{command}",
            plan.name, plan.service.title
        ))?;
        return Ok(());
    }
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let (service, was_there) = match open(&manager, &plan.name)? {
        Some(service) => {
            service.change_config(&info).map_err(|error| failed("change the service", &error, UNCHANGED))?;
            (service, true)
        }
        None => {
            let created = manager.create_service(&info, ServiceAccess::ALL_ACCESS);
            (created.map_err(|error| failed("enter the service", &error, UNCHANGED))?, false)
        }
    };
    let events = match equip(plan, &service) {
        Ok(events) => events,
        Err(error) => {
            if !was_there {
                // Half a service would start without being restarted: rather none.
                drop(service.delete());
            }
            return Err(error);
        }
    };
    say(format_args!(
        "{} {}, and starts at boot.\nStart it now with: net start {}\n\
         Its log: %ProgramData%\\Prevalent\\logs{events}",
        plan.name,
        if was_there { "was there already and is now as described" } else { "was installed" },
        plan.name
    ))?;
    Ok(())
}

const UNCHANGED: &str = "nothing was changed";
const NOT_WHOLE: &str = "a service that was not there before has been removed again";

fn info(plan: &Plan) -> ServiceInfo {
    let service = &plan.service;
    let mut arguments: Vec<OsString> = vec![
        "--config".into(),
        service.config.clone().into_os_string(),
        "--as-service".into(),
        plan.name.as_str().into(),
    ];
    arguments.extend(service.arguments.iter().map(OsString::from));
    ServiceInfo {
        name: plan.name.as_str().into(),
        display_name: service.title.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: plan.executable.clone(),
        launch_arguments: arguments,
        dependencies: vec![],
        account_name: None,
        account_password: None,
    }
}

/// What makes an entered service a good one: restarts, a description, a source of events. Returns what is to
/// be said of the events.
fn equip(plan: &Plan, service: &Handle) -> Result<String, ServiceError> {
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(FORGET_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(RESTART_AFTER.map(restart).to_vec()),
    };
    let failed = |error| failed("set the restarts of the service", &error, NOT_WHOLE);
    service.set_description(plan.service.description).map_err(failed)?;
    for setting in [
        service.update_failure_actions(actions),
        // A program that ends with an error has failed as well as one that crashes.
        service.set_failure_actions_on_non_crash_failures(true),
    ] {
        match setting {
            Err(error) if system_code(&error) == Some(INVALID_LEVEL) => {
                say("This Windows (or Wine) does not restart a service after every kind of failure.")?;
            }
            other => other.map_err(failed)?,
        }
    }
    let text = format!("{} was installed as a service.", plan.service.title);
    Ok(match EventLog::report(plan.name.as_str(), EventKind::Information, &text) {
        Ok(()) => "; what matters also in the event log, under Application".to_owned(),
        Err(error) => format!("; the event log cannot be written: {error}"),
    })
}

pub(super) fn uninstall(name: &ServiceName) -> Result<(), ServiceError> {
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    let Some(service) = open(&manager, name)? else {
        return Ok(say(format_args!("There is no service {name}: nothing was to be done."))?);
    };
    stop(&service)?;
    service.delete().map_err(|error| failed("remove the service", &error, "it was stopped"))?;
    say(format_args!("{name} was stopped and removed."))?;
    // Where nothing could be written there is no source. One that stays does no harm.
    drop(EventLog::remove_source(name.as_str()));
    Ok(())
}

fn stop(service: &Handle) -> Result<(), ServiceError> {
    let failed = |error| failed("stop the service", &error, "it was not removed");
    match service.stop() {
        Ok(_) => {}
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(NOT_STARTED) => {
            return Ok(());
        }
        Err(error) => return Err(failed(error)),
    }
    let asked = Instant::now();
    while service.query_status().map_err(failed)?.current_state != ServiceState::Stopped {
        if asked.elapsed() > STOP_WITHIN {
            return Err(ServiceError::Step {
                attempted: "stop the service".to_owned(),
                reason: format!("it has not stopped for {} seconds", STOP_WITHIN.as_secs()),
                left: "it was not removed",
            });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, ServiceError> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| failed("speak with the service manager", &error, UNCHANGED))
}

fn open(manager: &ServiceManager, name: &ServiceName) -> Result<Option<Handle>, ServiceError> {
    match manager.open_service(name.as_str(), ServiceAccess::ALL_ACCESS) {
        Ok(service) => Ok(Some(service)),
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(NO_SUCH_SERVICE) => {
            Ok(None)
        }
        Err(error) => Err(failed("open the service", &error, UNCHANGED)),
    }
}

/// The number that Windows gives a failure.
fn system_code(error: &windows_service::Error) -> Option<i32> {
    match error {
        windows_service::Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

fn failed(attempted: &str, error: &windows_service::Error, left: &'static str) -> ServiceError {
    if system_code(error) == Some(ACCESS_DENIED) && left == UNCHANGED {
        return ServiceError::NotAllowed {
            who: "an administrator",
            remedy: "open the command prompt with \"Run as administrator\" and run the same command there",
        };
    }
    let reason = match error {
        windows_service::Error::Winapi(error) => error.to_string(),
        other => other.to_string(),
    };
    ServiceError::Step { attempted: attempted.to_owned(), reason, left }
}
