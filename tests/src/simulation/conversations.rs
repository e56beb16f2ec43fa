//! What is said: between voters as bytes, between clients and voters as values.

use prevalent::{ClientId, Input, Outgoing, Prevalent};
use quorum::ReadToken;
use shipper::encode_packet;

use super::client::{Request, Response};
use super::driver::node_of;
use super::machine::Life;
use super::plan::Ambush;
use super::{Event, Simulation};

/// So many bits of a [`ClientId`] number a client's connections.
const CONNECTION_BITS: u32 = 32;

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

    pub(super) fn respond(&mut self, machine: usize, to: ClientId, response: Response) {
        let client = usize::try_from(to.0 >> CONNECTION_BITS).expect("few clients");
        let node = self.machines.len() + client;
        for delay in self.network.deliver(machine, node) {
            self.agenda.after(delay, Event::Response { client, response: response.clone() });
        }
    }

    pub(super) fn tell_clients(&mut self, machine: usize) {
        let Some(process) = &self.machines[machine].process else { return };
        let master = process.replica.view().master.map(node_of);
        for client in 0..self.clients.len() {
            self.respond(machine, client_id(client, 0), Response::Master(master));
        }
    }

    pub(super) fn say(&mut self, client: usize, requests: Vec<Request>) {
        let (to, connection) = (self.clients[client].voter, self.clients[client].connection);
        let node = self.machines.len() + client;
        for request in requests {
            for delay in self.network.deliver(node, to) {
                let request = request.clone();
                self.agenda.after(delay, Event::Request { to, client, connection, request });
            }
        }
    }

    pub(super) fn request_arrives(&mut self, to: usize, client: usize, connection: u64, request: Request) {
        if self.machines[to].process.is_none() {
            return;
        }
        if self.is_put_off(to, || Event::Request { to, client, connection, request: request.clone() }) {
            return;
        }
        let (id, actor) = (client_id(client, connection), self.clients[client].actor.clone());
        match request {
            Request::Register => self.step(to, Input::Register { client: id, actor: &actor }),
            Request::Commands(entries) => {
                self.step(to, Input::Commands { client: id, actor: &actor, entries: &entries });
            }
            Request::Read(read) => {
                let process = self.machines[to].process.as_mut().expect("just looked at");
                process.reads_started += 1;
                let token = ReadToken(process.reads_started);
                process.reads.insert(token.0, (client, connection, read));
                self.step(to, Input::Read(token));
            }
        }
    }

    pub(super) fn answer_read(&mut self, machine: usize, life: Life, token: ReadToken) {
        let Some(process) = self.running(machine, life) else { return };
        let (client, connection, read) = process.reads.remove(&token.0).expect("a read is answered once");
        let Some(engine) = process.replica.engine() else { return };
        let reading = engine.state().answer(&());
        self.respond(machine, client_id(client, connection), Response::Read { read, reading });
    }

    pub(super) fn refuse_read(&mut self, machine: usize, life: Life, token: ReadToken) {
        let Some(process) = self.running(machine, life) else { return };
        let (client, connection, _) = process.reads.remove(&token.0).expect("a read is answered once");
        self.respond(machine, client_id(client, connection), Response::ReadRefused);
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

fn client_id(client: usize, connection: u64) -> ClientId {
    ClientId((client as u64) << CONNECTION_BITS | connection)
}
