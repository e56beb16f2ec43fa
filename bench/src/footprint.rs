//! What a process that has nothing to do costs.

use serde::Serialize;

/// A process's share of memory and processor.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Footprint {
    /// Memory that is its own: neither files nor shared.
    pub(crate) private_kib: u64,
    /// All of it that is in memory, mapped files included.
    pub(crate) resident_kib: u64,
    /// Of one core.
    pub(crate) processor_percent: f64,
}

impl Footprint {
    pub(crate) fn line(&self) -> String {
        let Footprint { private_kib, resident_kib, processor_percent } = self;
        format!(
            "idle master               {private_kib} KiB private, {resident_kib} KiB resident, \
             {processor_percent:.1} % of a core"
        )
    }
}

/// What `/proc` says of a process's memory: private and resident, in KiB.
#[cfg(target_os = "linux")]
pub(crate) fn memory(process: u32) -> anyhow::Result<(u64, u64)> {
    use anyhow::Context;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).with_context(|| format!("/proc does not say {name}"))
    };
    Ok((field("RssAnon:")?, field("VmRSS:")?))
}

/// Processor time that a process has used so far, in seconds.
#[cfg(target_os = "linux")]
pub(crate) fn processor_seconds(process: u32) -> anyhow::Result<f64> {
    // Each thread's time on a processor in nanoseconds; `stat` counts hundredths of a second.
    let mut nanos = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += text.split_whitespace().next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(std::time::Duration::from_nanos(nanos).as_secs_f64())
}
