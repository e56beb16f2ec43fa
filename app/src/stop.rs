/// Returns when the system, or a person at the keyboard, asks the program to stop.
///
/// If the system cannot tell us, it never returns: the program then ends when it is killed, which it
/// has to survive anyway.
#[cfg(unix)]
pub async fn stop_requested() {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!("cannot listen for the request to stop: {error}");
            std::future::pending().await
        }
    }
}

/// Returns when the system, or a person at the keyboard, asks the program to stop.
///
/// If the system cannot tell us, it never returns: the program then ends when it is killed, which it
/// has to survive anyway.
#[cfg(windows)]
pub async fn stop_requested() {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
    match (ctrl_c(), ctrl_break(), ctrl_close(), ctrl_shutdown()) {
        (Ok(mut c), Ok(mut pause), Ok(mut close), Ok(mut shutdown)) => {
            tokio::select! {
                _ = c.recv() => {}
                _ = pause.recv() => {}
                _ = close.recv() => {}
                _ = shutdown.recv() => {}
            }
        }
        _ => {
            tracing::warn!("cannot listen for the request to stop");
            std::future::pending().await
        }
    }
}
