//! The console without its window: follows the cluster, carries out requests, and says what is to be seen.
//!
//! One task owns everything that is known. It waits for nothing but its inputs: commands are submitted by a
//! second task, questions asked by a third. What is to be seen goes out as a whole, at most twenty times a
//! second, to a window that looks at the newest and never waits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use console_ui::{Access, Request, Time, View};
use fleet::Fleet;
use prevalent::{Actor, Role};
use shipper::{Client, ClientError, ClientOptions, Observer, ObserverOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::sender;
use crate::soundings;
use crate::worker::Worker;

/// Requests that wait for the worker, which is never busy for long.
const REQUESTS_MAX: usize = 64;
/// Answers that wait for the worker.
const EVENTS_MAX: usize = 256;

/// What the console needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Voters, any of them.
    pub addresses: Vec<SocketAddr>,
    /// The folder with the certificate.
    pub identity: PathBuf,
    /// Whose certificate it is.
    pub actor: Actor,
    /// Where the console keeps its copy.
    pub folder: PathBuf,
    /// How long an action waits for a master before it counts as not applied.
    pub time_out: Duration,
    /// How far this machine's clock is east of Greenwich, in seconds.
    pub utc_offset_s: i32,
}

/// A console at work. Dropping it ends its tasks.
pub struct Core {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<View>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Core {
    /// Starts to connect. `wake` is called from another thread when there is something new to be seen.
    ///
    /// # Errors
    /// If the certificate or the socket cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(options: Options, wake: impl Fn() + Send + 'static) -> Result<Core, ClientError> {
        let Options { addresses, identity, actor, folder, time_out, utc_offset_s } = options;
        let client = Client::<Fleet>::connect(ClientOptions {
            addresses: addresses.clone(),
            identity: identity.clone(),
            members_file: None,
            time_out,
        })?;
        let first = View {
            now: clock(),
            utc_offset_s,
            access: Access {
                may_change: matches!(actor.role, Role::Operator | Role::Admin),
                name: actor.name,
            },
            ..View::default()
        };
        let (requests, incoming) = mpsc::channel(REQUESTS_MAX);
        let (events_to, events) = mpsc::channel(EVENTS_MAX);
        let (orders, sending) = sender::start(client.clone(), events_to.clone());
        let asking = events_to.clone();
        let sounding = soundings::start(client.clone(), events_to);
        let (publish, view) = watch::channel(Arc::new(first.clone()));
        let observing = ObserverOptions { addresses, identity, folder };
        let working = tokio::spawn(async move {
            let show = move |view: View| {
                publish.send_replace(Arc::new(view));
                wake();
            };
            match Observer::<Fleet>::start(observing).await {
                Ok(observer) => {
                    Worker::new(observer, client.standings(), orders, asking, first)
                        .run(incoming, events, show)
                        .await
                }
                Err(error) => {
                    let reason = format!("{error}. The console shows nothing; mend this and start it again.");
                    show(View { link: console_ui::Link::Stopped { reason }, ..first });
                }
            }
        });
        Ok(Core { requests, view, tasks: vec![sending, sounding, working] })
    }

    /// What is to be seen, and each change of it.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Asks for something. Never waits.
    ///
    /// # Errors
    /// The request itself, if too many wait already, or the worker has ended: ask again later.
    pub fn ask(&self, request: Request) -> Result<(), Request> {
        self.requests.try_send(request).map_err(mpsc::error::TrySendError::into_inner)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// This machine's wall clock.
pub(crate) fn clock() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
