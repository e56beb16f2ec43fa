//! Three voters on this machine, each a process of its own, and one client.

use std::path::Path;
use std::time::{Duration, Instant};

use demo::{Executables, LocalCluster, Operator, PATIENCE, Program, Start};
use fleet::{Command, ImportMode, Selector, Value};
use position::Epoch;
use shipper::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::footprint::{Footprint, Usage, usage};
use crate::latency::{Latency, Recorder};

/// So many vote.
const VOTERS: usize = 3;

/// A cluster that runs until this is dropped.
pub(crate) struct Voters {
    cluster: LocalCluster,
    operator: Operator,
    runtime: Runtime,
}

impl Voters {
    pub(crate) fn start(executables: Executables, folder: &Path) -> anyhow::Result<Voters> {
        let runtime = Runtime::new()?;
        let mut cluster = LocalCluster::found(executables, VOTERS, Some(folder))?;
        for pc in cluster.voters().to_vec() {
            cluster.start_master(&pc, Start::Founder)?;
        }
        let operator = runtime.block_on(async {
            let operator = cluster.operator(PATIENCE)?;
            operator.import(cluster.fleet().clone(), ImportMode::Merge).await?;
            anyhow::Ok(operator)
        })?;
        Ok(Voters { cluster, operator, runtime })
    }

    /// What the master costs while nobody wants anything of it. `None` where the system does not say.
    pub(crate) fn idle(&self, length: Duration) -> anyhow::Result<Option<Footprint>> {
        let master = self.runtime.block_on(self.operator.master_after(Epoch::NONE))?;
        let process = self.cluster.process(&master.pc, Program::Master).id();
        let (started, before) = (Instant::now(), usage(process)?);
        std::thread::sleep(length);
        let (Some(before), Some(after)) = (before, usage(process)?) else { return Ok(None) };
        let used = after.processor_seconds - before.processor_seconds;
        let processor_percent = used / started.elapsed().as_secs_f64() * 100.0;
        let Usage { private_kib, resident_kib, .. } = after;
        Ok(Some(Footprint { private_kib, resident_kib, processor_percent }))
    }

    /// Durable commands of one client that has so many under way.
    pub(crate) fn durable(&self, in_flight: usize, length: Duration) -> anyhow::Result<Latency> {
        self.runtime.block_on(async {
            let mut callers = JoinSet::new();
            let started = Instant::now();
            for caller in 0..in_flight {
                callers.spawn(call(self.operator.client().clone(), caller, started, length));
            }
            let mut all = Recorder::new();
            while let Some(recorder) = callers.join_next().await {
                all.add(&recorder??);
            }
            Ok(all.finish(in_flight, started.elapsed()))
        })
    }
}

/// One command after the other, each with another value, so that each changes something.
async fn call(
    client: Client<fleet::Fleet>,
    caller: usize,
    started: Instant,
    length: Duration,
) -> anyhow::Result<Recorder> {
    let mut recorder = Recorder::new();
    let (selector, key) = (Selector::Node(format!("pc{}", caller % 9 + 1)), "brightness".to_owned());
    let mut value = i64::try_from(caller)?;
    while started.elapsed() < length {
        value += 1_000;
        let properties = [(key.clone(), Value::Integer(value))].into();
        let command = Command::Set { selector: selector.clone(), properties };
        let before = Instant::now();
        client.execute(&command).await??;
        recorder.record(before.elapsed());
    }
    Ok(recorder)
}
