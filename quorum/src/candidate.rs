//! Becoming master: the bully's idea of who stands, Raft's idea of who may win.
//!
//! Responsible for: when to probe, whom to nominate, what to pull first, when to give up. Rank delays and
//! nominates; it never vetoes, since a veto of the higher rank with the older journal against the newer
//! journal with the lower rank would last for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use position::{Ballot, Epoch, FrameId, History, Index, Member, MemberId, Mutant, Position, Standing, Tip};

use crate::message::{Envelope, Fetch, FetchOutcome, FetchReply, Message, ProbeReply, Refusal, Want};
use crate::standby::Adopting;
use crate::voter::{FoundingRule, Role, RoleName};
use crate::{Effect, Kind, Time, Voter};

/// Asks everyone whether they would elect anyone now.
#[derive(Clone, Debug)]
pub(crate) struct Probing {
    attempt: u64,
    pub(crate) started: Time,
    replies: BTreeMap<Member, ProbeReply>,
}

/// Fetches what a more complete peer has, before standing.
#[derive(Clone, Debug)]
pub(crate) struct Pulling {
    attempt: u64,
    from: Member,
    peer_last: Position,
    progressed: Time,
    /// End of the own frame after which the next chunk is asked for.
    cursor: Index,
    /// The own journal's end when that was asked.
    expected: Position,
    asked: bool,
}

/// Stands for election.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    attempt: u64,
    epoch: Epoch,
    started: Time,
    requested: bool,
    votes: BTreeSet<Member>,
    refusals: BTreeSet<Member>,
}

impl Campaign {
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl Voter {
    /// What time alone makes a voter do that does not lead.
    pub(crate) fn stand_on(&mut self, history: &impl History) {
        let due = match &self.role {
            Role::Standby => self.contact.is_none_or(|contact| self.now >= contact + self.patience()),
            Role::StoodDown { until } | Role::Backoff { until } => self.now >= *until,
            Role::Probing(_) => return self.weigh_replies(history),
            Role::Pulling(pulling) if self.now >= self.pull_ends_at(pulling) => return self.back_off(),
            Role::Campaigning(campaign) if self.now >= self.campaign_ends_at(campaign) => {
                return self.back_off();
            }
            Role::Pulling(_) | Role::Campaigning(_) | Role::Master(_) => false,
        };
        if due && self.may_stand(history) && !self.has_contact() {
            self.probe(history);
        }
    }

    /// How long a pull waits for the next chunk: longer with every failure, since a large frame may need more
    /// than the usual time on a slow network.
    pub(crate) fn pull_ends_at(&self, pulling: &Pulling) -> Time {
        pulling.progressed + self.longer_with_every_failure(self.times.pull)
    }

    /// Who has voted refuses everyone else for a suspicion time: as long, late votes are waited for, since disks
    /// may be slower than δ, and longer with every failure. Enough refusals end a campaign at once. Before the own
    /// vote is durable it has not begun: whoever has a slow disk would otherwise never stand.
    pub(crate) fn campaign_ends_at(&self, campaign: &Campaign) -> Time {
        let started = if campaign.requested { campaign.started } else { self.now };
        started + self.longer_with_every_failure(self.times.suspicion)
    }

    fn longer_with_every_failure(&self, time: Duration) -> Duration {
        time * (1 << self.backoffs.min(self.times.backoff_doublings_max))
    }

    /// Whether this voter would stand if everyone agreed.
    pub(crate) fn may_stand(&self, history: &impl History) -> bool {
        let waits_to_be_founded = self.founding == FoundingRule::Never && self.holds_only_founding(history);
        self.may_stand_somewhen() && !waits_to_be_founded
    }

    pub(crate) fn probe(&mut self, history: &impl History) {
        self.attempt += 1;
        let attempt = self.attempt;
        if self.master.take().is_some() || self.role.name() == RoleName::Standby {
            self.out.push(Effect::Changed);
        }
        self.role = Role::Probing(Probing { attempt, started: self.now, replies: BTreeMap::new() });
        let last = history.tip().position;
        for to in self.others() {
            let rank = self.rank();
            self.send(to, Message::Probe { attempt, last, rank });
        }
        self.weigh_replies(history);
    }

    fn rank(&self) -> u32 {
        self.lists.newest().member(self.me.id).map_or(0, |voter| voter.rank)
    }

    pub(crate) fn on_probe(&mut self, envelope: &Envelope, attempt: u64, history: &impl History) {
        let newest = self.links.get(&envelope.from).is_some_and(|link| link.counter == envelope.counter);
        if self.master == Some(envelope.from) && envelope.epoch >= self.ballot.epoch && newest {
            // My own master asks for an election: it has stepped down.
            self.contact = None;
        }
        let kind = self.lists.newest().member(self.me.id).map_or(Kind::Data, |voter| voter.kind);
        // What is damaged cannot be pulled: it is stated only to whom it can refuse its vote. Else a candidate
        // would try for ever to pull a frame that nobody else ever had.
        let intact = self.repairs.iter().map(|damaged| damaged.first).min();
        let last = intact.map_or(history.tip(), |first| history.tip_at_or_below(first.previous())).position;
        let reply = ProbeReply {
            attempt,
            last,
            rank: self.rank(),
            kind,
            contact: self.has_contact(),
            certain: self.is_certain(),
            eligible: self.may_stand(history) && self.is_quorum_connected(),
        };
        self.send(envelope.from, Message::ProbeReply(reply));
    }

    pub(crate) fn on_nominate(&mut self, history: &impl History) {
        let idle = matches!(self.role, Role::Standby | Role::StoodDown { .. } | Role::Backoff { .. });
        if idle && self.may_stand(history) && !self.has_contact() {
            self.probe(history);
        }
    }

    pub(crate) fn on_probe_reply(&mut self, envelope: &Envelope, reply: &ProbeReply, history: &impl History) {
        if !self.lists.newest().counts(envelope.from) {
            return;
        }
        match &mut self.role {
            Role::Probing(probing) if probing.attempt == reply.attempt => {
                probing.replies.insert(envelope.from, reply.clone());
                self.weigh_replies(history);
            }
            _ => {}
        }
    }

    /// Decides on the answers that have come so far: go on waiting, nominate, pull, stand, or give up.
    fn weigh_replies(&mut self, history: &impl History) {
        let Role::Probing(probing) = &self.role else { return };
        let all = probing.replies.len() + 1 == self.lists.newest().voter_count();
        let waited = self.now.since(probing.started);
        let mine = history.tip().position;
        if self.is_pristine(history) && probing.replies.values().any(|reply| reply.last > mine) {
            // Others have a history, and this directory may be a fresh copy of a machine that acknowledged
            // part of it: it follows whomever they elect, and neither pulls nor stands.
            return self.back_off();
        }
        let willing = 1 + probing.replies.values().filter(|reply| reply.certain && !reply.contact).count();
        let founding = self.holds_only_founding(history)
            && self.founding != FoundingRule::Majority
            && probing.replies.values().all(|reply| reply.last <= mine);
        // Nobody has more than the founding frame, as far as is known: then everyone must be known. Who is
        // not certain must have been asked as well, but need not be certain: a majority of others is.
        let known = !founding || (all && probing.replies.values().all(|reply| !reply.contact));
        let enough = willing >= self.lists.newest().majority() && known;
        // A little patience after a majority has answered: the best candidate may be the next to answer.
        if enough && (all || waited >= self.delta()) {
            self.choose(history);
        } else if waited >= self.delta() * 2 {
            self.back_off();
        }
    }

    fn choose(&mut self, history: &impl History) {
        let Role::Probing(probing) = &self.role else { return };
        let mine = history.tip().position;
        let eligible =
            probing.replies.iter().filter(|(_, reply)| reply.eligible && reply.certain && !reply.contact);
        let best = eligible.map(|(member, reply)| (reply.last, reply.rank, member.id, *member)).max();
        match best {
            Some((last, rank, id, member))
                if (last, rank, id) > (mine, self.rank(), self.me.id) && !self.stood_down =>
            {
                self.stood_down = true;
                self.send(member, Message::Nominate);
                self.role = Role::StoodDown { until: self.now + self.delta() * 2 };
            }
            _ => self.pull_or_campaign(mine, history),
        }
    }

    fn pull_or_campaign(&mut self, mine: Position, history: &impl History) {
        let Role::Probing(probing) = &self.role else { return };
        let certain = probing.replies.iter().filter(|(_, reply)| reply.certain);
        let greatest = certain.map(|(member, reply)| (reply.last, *member)).max();
        let attempt = probing.attempt;
        match greatest {
            Some((peer_last, from)) if peer_last > mine && !Mutant::VotesWithoutJournal.is_active() => {
                self.role = Role::Pulling(Pulling {
                    attempt,
                    from,
                    peer_last,
                    progressed: self.now,
                    cursor: history.tip().index(),
                    expected: mine,
                    asked: false,
                });
                if peer_last.epoch > self.ballot.epoch {
                    // Frames of an epoch are adopted only once that epoch is durable here.
                    let ballot = Ballot { epoch: peer_last.epoch, voted_for: None, ..self.ballot };
                    self.enter_epoch(ballot);
                }
                self.pull_if_durable(history);
            }
            _ => self.campaign(attempt, history),
        }
    }

    /// Asks for the next chunk, once the epoch is durable.
    pub(crate) fn pull_if_durable(&mut self, history: &impl History) {
        let durable = self.ballot_is_durable();
        let Role::Pulling(pulling) = &mut self.role else { return };
        if !durable || pulling.asked {
            return;
        }
        pulling.asked = true;
        pulling.expected = history.tip().position;
        let (to, attempt) = (pulling.from, pulling.attempt);
        let after = history.tip_at_or_below(pulling.cursor);
        self.send(to, Message::Fetch(Fetch { attempt, want: Want::After(after) }));
    }

    /// A chunk of a pull, or word that the journals part earlier.
    pub(crate) fn on_pulled(
        &mut self,
        envelope: &Envelope,
        reply: &FetchReply,
        frames: &[FrameId],
        history: &impl History,
    ) {
        let mine = history.tip().position;
        let no_master = !self.has_contact();
        let Role::Pulling(pulling) = &mut self.role else { return };
        if pulling.attempt != reply.attempt || pulling.from != envelope.from || !pulling.asked {
            return;
        }
        // Judged now, not when it was asked: meanwhile a master may have come, gone, and left more here
        // than the peer has.
        let still_greater = reply.last > mine && pulling.expected == mine;
        // The peer may have gone on to an epoch that is not durable here.
        let epoch_durable = reply.last.epoch <= self.durable_ballot.epoch;
        if !no_master || !reply.certain || !still_greater || !epoch_durable {
            self.back_off();
            return;
        }
        pulling.progressed = self.now;
        pulling.asked = false;
        pulling.peer_last = reply.last;
        match reply.outcome {
            FetchOutcome::Compacted => self.back_off(),
            FetchOutcome::DontHave { shared } => {
                let lower = shared.min(pulling.cursor.previous());
                pulling.cursor = history.tip_at_or_below(lower).index();
                if pulling.cursor < self.commit {
                    // What is committed is shared by everyone who could answer as certain.
                    self.back_off();
                } else {
                    self.pull_if_durable(history);
                }
            }
            FetchOutcome::Frames { prev } => {
                if Some(prev) != history.tip_at(prev.index()) || frames.is_empty() {
                    self.back_off();
                    return;
                }
                self.take_chunk(envelope, frames, history);
            }
        }
    }

    fn take_chunk(&mut self, envelope: &Envelope, frames: &[FrameId], history: &impl History) {
        let through = frames.last().expect("a chunk has frames").tip();
        if !self.adopt_after_conflict(envelope, frames, Adopting::Pulled { through }, history) {
            self.pull_on(history.tip());
        }
    }

    /// A chunk has been written, and the journal ends with `tip`: the next one, or the election.
    pub(crate) fn pull_on(&mut self, tip: Tip) {
        let Role::Pulling(pulling) = &mut self.role else { return };
        let attempt = pulling.attempt;
        if tip.position >= pulling.peer_last {
            // The vote for itself, once durable, goes on with the campaign.
            return self.campaign_from(attempt, tip.position);
        }
        pulling.cursor = tip.index();
        pulling.expected = tip.position;
        pulling.asked = true;
        let to = pulling.from;
        self.send(to, Message::Fetch(Fetch { attempt, want: Want::After(tip) }));
    }

    fn campaign(&mut self, attempt: u64, history: &impl History) {
        self.campaign_from(attempt, history.tip().position);
        self.campaign_if_durable(history);
    }

    fn campaign_from(&mut self, attempt: u64, last: Position) {
        let epoch = self.epoch_seen.max(self.ballot.epoch).max(last.epoch).next();
        let voted_for = Some(self.vote_for_itself());
        self.enter_epoch(Ballot { epoch, voted_for, standing: Standing::Settled });
        self.epoch_seen = epoch;
        self.role = Role::Campaigning(Campaign {
            attempt,
            epoch,
            started: self.now,
            requested: false,
            votes: BTreeSet::from([self.me]),
            refusals: BTreeSet::new(),
        });
    }

    /// Asks for votes, once the own one is durable.
    pub(crate) fn campaign_if_durable(&mut self, history: &impl History) {
        let durable = self.ballot_is_durable();
        let now = self.now;
        let Role::Campaigning(campaign) = &mut self.role else { return };
        if !durable || campaign.requested {
            return;
        }
        assert_eq!(campaign.epoch, self.ballot.epoch, "a campaign ends when its epoch is left");
        campaign.requested = true;
        campaign.started = now;
        let attempt = campaign.attempt;
        let last = history.tip().position;
        for to in self.others() {
            self.send(to, Message::VoteRequest { attempt, last, handover: None });
        }
        self.lead_if_elected(history);
    }

    pub(crate) fn on_vote_reply(
        &mut self,
        envelope: &Envelope,
        attempt: u64,
        refused: Option<Refusal>,
        history: &impl History,
    ) {
        let counts = self.lists.newest().counts(envelope.from);
        let voters = self.lists.newest().voter_count();
        let majority = self.lists.newest().majority();
        let Role::Campaigning(campaign) = &mut self.role else { return };
        if !counts || campaign.attempt != attempt || !campaign.requested {
            return;
        }
        match refused {
            None if envelope.epoch == campaign.epoch => {
                campaign.votes.insert(envelope.from);
                self.lead_if_elected(history);
            }
            None => {}
            Some(_) => {
                campaign.refusals.insert(envelope.from);
                if campaign.refusals.len() > voters - majority {
                    self.back_off();
                }
            }
        }
    }

    /// Leads once a majority has voted, by processes that are remembered durably here: else this voter could lose its
    /// power now, forget them, and count a copy of one of them.
    pub(crate) fn lead_if_elected(&mut self, history: &impl History) {
        let Role::Campaigning(campaign) = &self.role else { return };
        let votes = campaign.votes.iter().filter(|&&voter| voter == self.me || self.is_remembered(voter));
        if campaign.requested && votes.count() >= self.lists.newest().majority() {
            self.lead(history);
        }
    }

    /// Waits a random while that grows with every failure, so that candidates do not meet for ever.
    pub(crate) fn back_off(&mut self) {
        let doublings = self.backoffs.min(self.times.backoff_doublings_max);
        self.backoffs += 1;
        let least = self.delta();
        let most = least * (1 << doublings);
        let spread = u64::try_from((most - least).as_nanos()).expect("at most δ · 2^5");
        let wait = least + Duration::from_nanos(self.random.up_to(spread));
        self.role = Role::Backoff { until: self.now + wait };
    }

    /// The ids of voters that a start waits for before the cluster can be founded.
    #[must_use]
    pub fn unheard(&self) -> Vec<MemberId> {
        self.others().into_iter().filter(|&member| !self.is_heard(member)).map(|member| member.id).collect()
    }
}
