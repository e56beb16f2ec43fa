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

/// What a process uses now, and has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) private_kib: u64,
    pub(crate) resident_kib: u64,
    pub(crate) processor_seconds: f64,
}

/// What `/proc` says of a process.
#[cfg(target_os = "linux")]
pub(crate) fn usage(process: u32) -> anyhow::Result<Option<Usage>> {
    use anyhow::Context;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).with_context(|| format!("/proc does not say {name}"))
    };
    let (private_kib, resident_kib) = (field("RssAnon:")?, field("VmRSS:")?);
    // Each thread's time on a processor in nanoseconds; `stat` counts hundredths of a second.
    let mut nanos = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += text.split_whitespace().next().unwrap_or_default().parse::<u64>()?;
    }
    let processor_seconds = std::time::Duration::from_nanos(nanos).as_secs_f64();
    Ok(Some(Usage { private_kib, resident_kib, processor_seconds }))
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn usage(_process: u32) -> anyhow::Result<Option<Usage>> {
    Ok(None)
}
