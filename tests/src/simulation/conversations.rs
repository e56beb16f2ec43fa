//! What is said: between voters as bytes, between clients and voters as values.

use std::time::Duration;

use prevalent::{Outgoing, Prevalent, Refused};
use shipper::encode_packet;

use super::agenda::SimTime;
use super::client::{Request, Response, Told};
use super::driver::node_of;
use super::machine::Life;
use super::plan::Ambush;
use super::{Event, Simulation};

/// What is lost of a stream is sent again after this, and the stream is given up after so many attempts.
const REPEATED_AFTER: Duration = Duration::from_millis(25);
const ATTEMPTS: u32 = 4;

/// A client's stream of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asker {
    pub(super) client: usize,
    pub(super) connection: u64,
}

/// Who waits for something that is no command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reader {
    /// A client, for a read.
    Client { client: usize, read: u64 },
    /// An operator, for a change of the members.
    Operator,
}

/// One direction of a stream: what is said arrives in order, or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    /// When the last of it arrives.
    until: SimTime,
    broken: bool,
    /// How often the voter was busy.
    busy: u32,
}

impl Simulation {
    pub(super) fn send(&mut self, from: usize, outgoing: Outgoing) {
        let Outgoing { envelope, payload } = outgoing;
        if let Some(process) = &mut self.machines[from].process {
            self.coverage.said(&mut process.said, &envelope, &process.replica);
        }
        let mut payload = payload.iter().flat_map(|slice| slice.as_ref()).copied().collect();
        if !self.passes_trap(from, &envelope, &mut payload) {
            return;
        }
        let to = node_of(envelope.to.id);
        let packet = encode_packet(&envelope, &payload);
        self.note_heartbeat(to, &envelope, &packet);
        for delay in self.network.deliver(from, to) {
            let packet = packet.clone();
            if self.ambush(Ambush::LateMessage) {
                self.tell(|| format!("kept back: {envelope}"));
                self.kept_back.push((to, packet));
                continue;
            }
            self.agenda.after(delay, Event::Message { to, packet });
        }
    }

    pub(super) fn respond(&mut self, machine: usize, to: Asker, told: Told) {
        let Some(process) = &mut self.machines[machine].process else { return };
        let stream = process.streams.entry(to).or_default();
        if matches!(told, Told::Refused { why: Refused::Busy, .. }) {
            stream.busy += 1;
        }
        let mut stream = *stream;
        let node = self.machines.len() + to.client;
        let response = Response::OnStream { connection: to.connection, told };
        if let Some(at) = self.arrival(&mut stream, machine, node) {
            self.agenda.at(at, Event::Response { client: to.client, response });
        }
        if let Some(process) = &mut self.machines[machine].process {
            process.streams.insert(to, stream);
        }
    }

    /// When what is said now on a stream arrives, if it does.
    fn arrival(&mut self, stream: &mut Stream, from: usize, to: usize) -> Option<SimTime> {
        if stream.broken {
            return None;
        }
        for attempt in 0..ATTEMPTS {
            if let Some(delay) = self.network.deliver(from, to).next() {
                let at = self.agenda.now() + REPEATED_AFTER * attempt + delay;
                stream.until = at.max(stream.until + Duration::from_nanos(1));
                return Some(stream.until);
            }
        }
        stream.broken = true;
        None
    }

    fn tell_client(&mut self, machine: usize, client: usize, response: &Response) {
        let node = self.machines.len() + client;
        for delay in self.network.deliver(machine, node) {
            self.agenda.after(delay, Event::Response { client, response: response.clone() });
        }
    }

    pub(super) fn tell_clients(&mut self, machine: usize) {
        let Some(process) = &self.machines[machine].process else { return };
        let master = process.replica.view().master.map(node_of);
        for client in 0..self.clients.len() {
            self.tell_client(machine, client, &Response::Master(master));
        }
    }

    pub(super) fn say(&mut self, client: usize, requests: Vec<Request>) {
        let (to, connection) = (self.clients[client].voter, self.clients[client].connection);
        let node = self.machines.len() + client;
        for request in requests {
            if let Request::Read(_) = request {
                for delay in self.network.deliver(node, to) {
                    let request = request.clone();
                    self.agenda.after(delay, Event::Request { to, client, connection, request });
                }
                continue;
            }
            let mut stream = self.clients[client].stream_of(connection);
            if let Some(at) = self.arrival(&mut stream, node, to) {
                self.agenda.at(at, Event::Request { to, client, connection, request });
            }
            self.clients[client].stream = (connection, stream);
        }
    }

    pub(super) fn request_arrives(&mut self, to: usize, client: usize, connection: u64, request: Request) {
        if self.machines[to].process.is_none() {
            return;
        }
        if self.is_put_off(to, || Event::Request { to, client, connection, request: request.clone() }) {
            return;
        }
        let (asker, actor) = (Asker { client, connection }, self.clients[client].actor.clone());
        match request {
            Request::Register => self.ask(to, |node, now| node.register(now, asker, &actor)),
            Request::Commands { attempt, entries } => {
                let process = self.machines[to].process.as_mut().expect("just looked at");
                // Sent before the client knew that earlier commands have to be sent again.
                if attempt == process.streams.entry(asker).or_default().busy {
                    self.ask(to, |node, now| node.commands(now, asker, &actor, &entries));
                }
            }
            Request::Read(read) => self.ask(to, |node, now| node.read(now, Reader::Client { client, read })),
        }
    }

    pub(super) fn answer_read(&mut self, machine: usize, life: Life, reader: Reader) {
        let Some(process) = self.running(machine, life) else { return };
        let Some(engine) = process.replica.engine() else { return };
        let Reader::Client { client, read } = reader else { return };
        let reading = engine.state().answer(&());
        self.tell_client(machine, client, &Response::Read { read, reading });
    }

    pub(super) fn refuse_read(&mut self, machine: usize, reader: Reader) {
        if let Reader::Client { client, .. } = reader {
            self.tell_client(machine, client, &Response::ReadRefused);
        }
    }

    pub(super) fn response_arrives(&mut self, client: usize, response: Response) {
        self.tell(|| format!("client {client} hears {}", response.in_short()));
        let now = self.agenda.now();
        let (oracle, promises) = (&self.oracle, &mut self.promises);
        let requests = self.clients[client].hear(now, response, oracle, promises);
        self.say(client, requests);
    }

    pub(super) fn client_acts(&mut self, client: usize) {
        let now = self.agenda.now();
        let requests = self.clients[client].act(now, &self.plan, &self.promises);
        self.say(client, requests);
        let rest = self.clients[client].rest();
        self.agenda.after(rest, Event::ClientActs(client));
    }
}
