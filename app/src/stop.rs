/// Returns when the system, or a person at the keyboard, asks the program to stop.
///
/// If the system cannot tell us, it never returns: the program then ends when it is killed, which it
/// has to survive anyway.
#[cfg(unix)]
pub async fn stop_requested() {
    use tokio::signal::unix::{SignalKind, signal};
    // Not the hangup: to listen for it would undo `nohup`.
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => never().await,
    }
}

/// Returns when the system, or a person at the keyboard, asks the program to stop.
///
/// After a console was closed, at a shutdown and when the user logs off, Windows ends the process five
/// seconds later; tokio keeps the event open until the process has ended by itself.
///
/// If the system cannot tell us, it never returns: the program then ends when it is killed, which it
/// has to survive anyway.
#[cfg(windows)]
pub async fn stop_requested() {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
    match (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_logoff(), ctrl_shutdown()) {
        (Ok(mut c), Ok(mut pause), Ok(mut close), Ok(mut logoff), Ok(mut shutdown)) => {
            tokio::select! {
                _ = c.recv() => {}
                _ = pause.recv() => {}
                _ = close.recv() => {}
                _ = logoff.recv() => {}
                _ = shutdown.recv() => {}
            }
        }
        _ => never().await,
    }
}

async fn never() {
    tracing::warn!("the system does not say when this program should stop: it has to be killed");
    std::future::pending().await
}
