use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fleet::{Desired, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{DriverError, OUTPUT_BYTES_MAX, order, parse};

/// How much of a program's standard error goes into the message.
const SAID_BYTES_MAX: usize = 400;

/// Runs a program for every desired state: it reads the state as JSON from standard input, ends with 0
/// when the machine is so, and may write what the machine is to standard output, as a JSON object of
/// properties. If it writes nothing, the machine is what was desired.
#[derive(Debug)]
pub struct ExecDriver {
    program: PathBuf,
    arguments: Vec<String>,
    limit: Duration,
}

impl ExecDriver {
    /// A driver that gives `program` so long for each desired state.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<String>, limit: Duration) -> ExecDriver {
        ExecDriver { program, arguments, limit }
    }

    pub(super) async fn apply(
        &self,
        node: &str,
        desired: &Desired,
    ) -> Result<BTreeMap<String, Value>, DriverError> {
        let mut child = self.start()?;
        // When the time is over, dropping the child kills it.
        let talk = talk(&mut child, order(node, desired));
        let (status, output, errors) = match tokio::time::timeout(self.limit, talk).await {
            Ok(Ok(said)) => said,
            Ok(Err(source)) => return Err(DriverError::Talk { program: self.program.clone(), source }),
            Err(_) => return Err(DriverError::Slow { program: self.program.clone(), limit: self.limit }),
        };
        if !status.success() {
            let said = String::from_utf8_lossy(&errors);
            let said =
                if said.trim().is_empty() { "it did not say why".into() } else { said.trim().to_owned() };
            return Err(DriverError::Failed { program: self.program.clone(), status, said });
        }
        let origin = format!("the output of {}", self.program.display());
        if output.len() > OUTPUT_BYTES_MAX {
            return Err(DriverError::TooMuch { origin });
        }
        if output.trim_ascii().is_empty() {
            return Ok(desired.properties.to_map());
        }
        parse(&origin, &output)
    }

    fn start(&self) -> Result<Child, DriverError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // CREATE_NO_WINDOW: the PC shows a picture wall, not console windows.
        #[cfg(windows)]
        command.creation_flags(0x0800_0000);
        command.spawn().map_err(|source| DriverError::Start { program: self.program.clone(), source })
    }
}

/// Writes and reads at the same time: a program that writes before it has read would block otherwise.
async fn talk(child: &mut Child, order: Vec<u8>) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut stdin = child.stdin.take().expect("piped");
    let stdout = child.stdout.take().expect("piped");
    let stderr = child.stderr.take().expect("piped");
    let write = async move {
        // A program that does not read its input may still do its work: its exit code counts.
        drop(stdin.write_all(&order).await);
        drop(stdin.shutdown().await);
        Ok(())
    };
    let (status, (), output, errors) =
        tokio::try_join!(child.wait(), write, read_beginning(stdout), read_end(stderr))?;
    Ok((status, output, errors))
}

/// Keeps one byte more than is allowed, to tell. The rest is read and dropped, so that the program is not
/// stopped in the middle of its work.
async fn read_beginning(mut from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    (&mut from).take(OUTPUT_BYTES_MAX as u64 + 1).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(kept)
}

/// Keeps the last of what was written, however much that was: a program says last why it gives up.
async fn read_end(mut from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let bytes = from.read(&mut piece).await?;
        if bytes == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&piece[..bytes]);
        kept.drain(..kept.len().saturating_sub(SAID_BYTES_MAX));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::driver::tests::desired;

    async fn shell(script: &str, limit: Duration) -> Result<BTreeMap<String, Value>, String> {
        let exec = ExecDriver::new("sh".into(), vec!["-c".into(), script.into()], limit);
        exec.apply("pc1", &desired()).await.map_err(|error| error.to_string())
    }

    async fn check(script: &str, expected: Result<&str, &str>) {
        let found = shell(script, Duration::from_secs(60)).await;
        match (found, expected) {
            (Ok(properties), Ok(json)) => {
                let expected: BTreeMap<String, Value> = serde_json::from_str(json).unwrap();
                assert_eq!(properties, expected, "{script}");
            }
            (Err(message), Err(part)) => assert!(message.contains(part), "{script}: {message}"),
            (found, expected) => panic!("{script}: {found:?} instead of {expected:?}"),
        }
    }

    #[tokio::test]
    async fn a_program_reads_the_order_and_says_what_the_machine_is() {
        let all = r#"{"brightness": 80, "gamma": 2.2, "titel": "grüß \"Gott\""}"#;
        check("cat > /dev/null", Ok(all)).await;
        check("exit 0", Ok(all)).await;
        check(r#"cat > /dev/null; echo '{"brightness": 79.5}'"#, Ok(r#"{"brightness": 79.5}"#)).await;
        check(r#"grep -q '"revision":12' && echo '{"seen": true}'"#, Ok(r#"{"seen": true}"#)).await;
        check("echo oops >&2; echo '{}'", Ok("{}")).await;
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        check("echo no display >&2; exit 3", Err("no display")).await;
        check("exit 3", Err("exit status: 3")).await;
        check("echo 80", Err("no JSON object")).await;
        check("echo '{\"a\": null}'", Err("null")).await;
        check("kill -9 $$", Err("signal: 9")).await;
        check("head -c 70000 /dev/zero | tr '\\0' x", Err("more than 65536 bytes")).await;
        let much = "(head -c 200000 /dev/zero | tr '\\0' x; echo; echo no display) >&2; exit 3";
        check(much, Err("x\nno display")).await;
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed() {
        let message = shell("sleep 600", Duration::from_millis(50)).await.unwrap_err();
        assert!(message.contains("was killed"), "{message}");
        let message = shell("while :; do echo x; done", Duration::from_millis(50)).await.unwrap_err();
        assert!(message.contains("was killed"), "{message}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let exec = ExecDriver::new("no-such-program".into(), vec![], Duration::from_secs(60));
        let message = exec.apply("pc1", &desired()).await.unwrap_err().to_string();
        assert!(message.contains("no-such-program"), "{message}");
    }
}
