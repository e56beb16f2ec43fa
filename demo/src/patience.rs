use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// Whatever is waited for here is expected within a second or three. On a machine that is busy with other
/// things it may take much longer, and that is no failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Conditions in other processes can only be looked at again and again. Short beside everything that is
/// measured, long enough to leave the processor to those that are watched.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Something did not happen in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s for {what}, in vain; at last: {last}", PATIENCE.as_secs())]
pub struct Impatient {
    what: String,
    last: String,
}

/// Looks until there is what is waited for, and returns it. `look` says why there is nothing yet.
///
/// # Errors
/// If it takes longer than [`PATIENCE`]: with what `look` said last.
pub async fn wait_until<T, E: Display>(
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, Impatient> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = "no answer".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(reason)) => last = reason.to_string(),
            Err(_elapsed) => {}
        }
        if Instant::now() >= deadline {
            return Err(Impatient { what: what.to_string(), last });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_what_was_found_or_with_the_last_reason() {
        let mut looks = 0;
        let found = wait_until("three", async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("not yet") }
        });
        assert_eq!(found.await.unwrap(), 3);
        let vain = wait_until("four", async || Err::<(), _>("there is no four")).await.unwrap_err();
        assert_eq!(vain.to_string(), "waited 60 s for four, in vain; at last: there is no four");
        let silent = wait_until("an answer", async || {
            std::future::pending::<()>().await;
            Ok::<_, &str>(())
        });
        assert!(silent.await.unwrap_err().to_string().ends_with("at last: no answer"));
    }
}
