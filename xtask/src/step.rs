//! Steps of a chore: commands that are shown, that must succeed, and that must end.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

/// What `timeout` exits with when it had to end the command.
const TIMED_OUT: i32 = 124;

/// Runs a command with its output shown.
///
/// # Errors
/// If it fails, or is not done after so many minutes: it and what it started are ended then.
pub(crate) fn run(what: &str, minutes_max: u32, command: &Command) -> anyhow::Result<()> {
    let started = Instant::now();
    eprintln!("\n== {what}");
    let mut limited = limited(minutes_max, command);
    let status = limited.status().with_context(|| format!("cannot start: {what}"))?;
    match status.code() {
        Some(0) => eprintln!("== done in {:.0} s", started.elapsed().as_secs_f64()),
        Some(TIMED_OUT) => bail!("{what}: not done after {minutes_max} minutes"),
        _ => bail!("{what}: {status}; what it said is above"),
    }
    Ok(())
}

/// Runs a command and returns what it prints to standard output. Its errors are shown.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(what: &str, minutes_max: u32, command: &Command) -> anyhow::Result<String> {
    let mut limited = limited(minutes_max, command);
    limited.stderr(Stdio::inherit());
    let output = limited.output().with_context(|| format!("cannot start: {what}"))?;
    match output.status.code() {
        Some(0) => String::from_utf8(output.stdout).with_context(|| format!("{what}: it prints no text")),
        Some(TIMED_OUT) => bail!("{what}: not done after {minutes_max} minutes"),
        _ => bail!("{what}: {}\n{}", output.status, String::from_utf8_lossy(&output.stdout)),
    }
}

/// Runs a command, shows what it says when it has ended, and returns that: as `Err` if it failed.
///
/// # Errors
/// If it cannot be started.
pub(crate) fn told(
    what: &str,
    minutes_max: u32,
    command: &Command,
) -> anyhow::Result<Result<String, String>> {
    let started = Instant::now();
    eprintln!("\n== {what}");
    let output = limited(minutes_max, command).output().with_context(|| format!("cannot start: {what}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    eprintln!("{}\n== {} after {:.0} s", said.trim_end(), output.status, started.elapsed().as_secs_f64());
    Ok(if output.status.success() { Ok(said) } else { Err(said) })
}

/// The same command under `timeout`, which ends its children too.
fn limited(minutes_max: u32, command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.arg("--kill-after=10").arg(format!("{minutes_max}m"));
    limited.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(variable, value),
            None => limited.env_remove(variable),
        };
    }
    limited
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("GREETING", "hello").current_dir("/");
        command
    }

    #[test]
    fn a_step_keeps_its_surroundings_and_must_succeed() {
        assert_eq!(output("greet", 1, &shell("echo $GREETING from $PWD")).unwrap(), "hello from /\n");
        assert!(run("greet", 1, &shell("true")).is_ok());
        let failed = output("greet", 1, &shell("echo why; exit 3")).unwrap_err().to_string();
        assert!(failed.contains("greet: exit status: 3") && failed.contains("why"), "{failed}");
        assert!(run("greet", 1, &shell("exit 3")).is_err());
        assert_eq!(told("greet", 1, &shell("echo a; echo b >&2")).unwrap(), Ok("a\nb\n".to_owned()));
        assert_eq!(told("greet", 1, &shell("echo why; exit 3")).unwrap(), Err("why\n".to_owned()));
    }
}
