//! Members come and go: what a master proposes and when, and how a voter learns that it was taken in or out.
//!
//! Responsible for: when a list may follow another, who is told, and what a voter does with it. Not responsible for:
//! which list follows from what an operator wants (`change`), and which lists count (`lists`).

use position::{
    Amnesia, Ballot, Epoch, Incarnation, Index, Member, MemberId, Memory, Mutant, ProcessNumber, Standing,
};
use serde::{Deserialize, Serialize};

use crate::change::{Around, Outlook, next_step};
use crate::effect::{ChangeOrder, ChangeToken};
use crate::link::Link;
use crate::message::{Envelope, Introduction, Message};
use crate::{Change, ChangeRefused, Effect, MemberInfo, Membership, Newcomer, Successor, Time, Voter};

/// The longest name and address that are listened to.
const INTRODUCTION_BYTES_MAX: usize = 256;

/// An incarnation that a committed list gives to this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taking {
    pub(crate) member: Member,
    /// Of whoever told it: no vote was given in it as the new member, nor in any before.
    pub(crate) epoch: Epoch,
}

/// What a member's word is worth, as far as another one knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It counts.
    Counts,
    /// Its acknowledgements count, its vote does not: it is in doubt of the end of its journal.
    InDoubt,
    /// It has lost what it promised, or may have: it is to be readmitted.
    Lost,
    /// Nothing was heard of it lately.
    NotHeard,
}

/// A member, as a voter sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// What the list says.
    pub info: MemberInfo,
    /// End of what is durable there, as far as the master of this epoch knows.
    pub durable: Index,
    /// What its word is worth.
    pub word: Word,
}

impl Voter {
    /// The entry `at` brings this list: it was written, or a damaged place that had hidden it was mended.
    pub fn add_list(&mut self, at: Index, list: Membership) {
        self.lists.add(at, list);
        self.lists_have_changed();
    }

    /// A snapshot took the place of the journal, and the list that entry `at` brought counts in it.
    pub fn replace_lists(&mut self, at: Index, list: Membership) {
        self.lists.replaced_by(at, list);
        self.lists_have_changed();
    }

    pub(crate) fn lists_have_changed(&mut self) {
        let newest = self.lists.newest();
        let number = newest.number();
        if newest.lists(self.me) && number > self.named_by {
            self.named_by = number;
            self.memory_changed = true;
        }
        let stands_in = |successor: Successor| !successor.removes;
        let replaces = newest.voters().any(|voter| voter.successor.is_some_and(stands_in));
        let now = self.now;
        if let Some(mastership) = self.role.master_mut().filter(|_| replaces) {
            mastership.replaced_at = Some(now);
        }
        self.lists_changed = true;
        self.link_members();
    }

    /// A link to every member. Others that greet have one as well, within bounds.
    pub(crate) fn link_members(&mut self) {
        for info in self.lists.newest().members() {
            let member = info.member;
            if member.id != self.me.id && !self.links.contains_key(&member) {
                let known = self.durable_peers.iter().find(|peer| peer.member == member);
                self.links.insert(member, known.map_or_else(Link::default, Link::to));
            }
        }
    }

    /// Whether a master sends its frames to this member: it is listed, or may be a listed one that has lost its
    /// identity.
    pub(crate) fn ships_to_life(&self, member: Member) -> bool {
        self.lists.any_lists(member) || self.lists.newest().member(member.id).is_some()
    }

    /// The members, as this voter sees them.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        let view = |info: &MemberInfo| MemberView {
            info: info.clone(),
            durable: self.durable_there(info.member),
            word: self.word_of(info.member),
        };
        self.lists.newest().members().iter().map(view).collect()
    }

    fn durable_there(&self, member: Member) -> Index {
        match self.role.master() {
            _ if member == self.me => self.durable,
            Some(mastership) => mastership.durable(member),
            None => Index::NONE,
        }
    }

    fn word_of(&self, member: Member) -> Word {
        if member == self.me {
            return match () {
                () if self.is_certain() => Word::Counts,
                () if self.acknowledgements_count() => Word::InDoubt,
                () => Word::Lost,
            };
        }
        let heard = |member: &Member| self.links.get(member).and_then(|link| link.heard);
        let other_lives = self.links.keys().filter(|other| other.id == member.id && **other != member);
        let other_life = other_lives.filter_map(heard).max();
        // Its disk was replaced: what its former life said last is no word any more.
        if other_life > heard(&member)
            && other_life.is_some_and(|at| self.now.since(at) < self.times.suspicion)
        {
            return Word::Lost;
        }
        if !self.is_heard(member) {
            let is_copied = |other: &Member| other.id == member.id && self.copy_of(*other).is_some();
            return if self.links.keys().any(is_copied) { Word::Lost } else { Word::NotHeard };
        }
        match self.links.get(&member).expect("it was heard") {
            link if link.has_lost => Word::Lost,
            link if !link.certain => Word::InDoubt,
            _ => Word::Counts,
        }
    }

    /// The process of a copy of a member's directory that greets while the member itself does not.
    fn copy_of(&self, member: Member) -> Option<ProcessNumber> {
        let since = Time(self.now.0.saturating_sub(Time::after(self.times.suspicion).0));
        let link = self.links.get(&member).filter(|_| !self.is_heard(member))?;
        link.copy_heard_since(since)
    }

    /// Those who greet this cluster and could be given an incarnation: PCs that are not listed, and members that have
    /// lost what they promised.
    #[must_use]
    pub fn newcomers(&self) -> Vec<Newcomer> {
        let waits = |(member, link): (&Member, &Link)| {
            let copy = self.copy_of(*member);
            if copy.is_none() && !self.is_heard(*member) {
                return None;
            }
            let listed = self.lists.newest().member(member.id);
            let waits = match listed {
                Some(_) => !self.lists.any_lists(*member) || link.has_lost || copy.is_some(),
                // A former member is told that it is none, and ends.
                None => member.incarnation == Incarnation::UNKNOWN,
            };
            let introduction = match (&link.introduced, listed) {
                (Some(introduction), _) => introduction.clone(),
                (None, Some(info)) => Introduction { name: info.name.clone(), address: info.address.clone() },
                (None, None) => return None,
            };
            let Introduction { name, address } = introduction;
            let process = copy.unwrap_or(link.latest.process);
            waits.then_some(Newcomer { member: *member, process, name, address })
        };
        self.links.iter().filter_map(waits).collect()
    }

    /// Whether the list that counts is committed, as far as is known.
    #[must_use]
    pub fn list_is_committed(&self) -> bool {
        self.lists.newest_at() <= self.commit
    }

    /// Where other voters are to be reached, by what the list says and by what they say themselves.
    #[must_use]
    pub fn addresses(&self) -> Vec<(MemberId, String)> {
        let listed = self.lists.newest().members().iter();
        let mut addresses: Vec<(MemberId, String)> =
            listed.map(|info| (info.member.id, info.address.clone())).collect();
        for (member, link) in &self.links {
            addresses.extend(link.introduced.iter().map(|said| (member.id, said.address.clone())));
        }
        addresses.retain(|(id, _)| *id != self.me.id);
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// What the list does not say of this PC, or says otherwise.
    pub(crate) fn introduction_due(&self) -> Option<Introduction> {
        let Introduction { name, address } = &self.introduction;
        let known = |info: &MemberInfo| info.member == self.me && info.address == *address;
        let due = !address.is_empty() && !name.is_empty() && !self.lists.newest().members().iter().any(known);
        due.then(|| self.introduction.clone())
    }

    pub(crate) fn on_introduction(&mut self, envelope: &Envelope, introduction: &Introduction) {
        let bytes = introduction.name.len().max(introduction.address.len());
        let Some(link) = self.links.get_mut(&envelope.from) else { return };
        if bytes <= INTRODUCTION_BYTES_MAX && link.introduced.as_ref() != Some(introduction) {
            link.introduced = Some(introduction.clone());
            // It is to be reached there.
            self.lists_changed = true;
        }
    }

    /// Answers whoever greets and is not named in this life: by the last *committed* list. A later one may be cut.
    pub(crate) fn tell_of_members(&mut self, to: Member) {
        let list = match Mutant::TellsUncommittedLists.is_active() {
            true => Some(self.lists.newest()).filter(|list| !list.is_unknown()),
            false => self.lists.committed(self.commit),
        };
        if let Some(list) = list.filter(|list| !list.lists(to)) {
            let list = list.clone();
            self.send(to, Message::Members(list));
        }
    }

    /// A committed list that does not name this voter in this life.
    pub(crate) fn on_members(&mut self, envelope: &Envelope, list: &Membership) {
        let is_news = list.number() > self.named_by || Mutant::BelievesOldLists.is_active();
        if !is_news || self.taking.is_some() || self.ballot.standing == Standing::Removed {
            return;
        }
        match list.member(self.me.id) {
            Some(info) if info.member == self.me => {}
            Some(info) if info.process == Some(self.process) || Mutant::TakesAnyIncarnation.is_active() => {
                self.taking = Some(Taking { member: info.member, epoch: envelope.epoch });
                self.named_by = list.number();
                self.persist();
            }
            // It was given to another process, which may be gone: the operator can give it once more.
            Some(_) if self.acknowledgements_count() => self.forget_everything(Amnesia::Superseded),
            Some(_) => {}
            None if self.me.incarnation == Incarnation::UNKNOWN => {}
            None => self.lose_standing(Standing::Removed),
        }
    }

    /// The new incarnation is durable, with a ballot that has not voted: nothing that the former self promised, or lost,
    /// binds this member.
    pub(crate) fn take_incarnation(&mut self, memory: &Memory) {
        let taking = self.taking.take().expect("only a list gives an incarnation");
        assert_eq!(taking.member, memory.me, "another incarnation was made durable");
        self.stand_by(None);
        self.me = taking.member;
        let epoch = memory.ballot.epoch.max(self.ballot.epoch);
        if epoch > self.ballot.epoch {
            self.round_seen = 0;
        }
        self.ballot = Ballot { epoch, ..Ballot::founded() };
        self.doubt = None;
        self.pending_grant = None;
        self.acknowledge_when_durable = false;
        self.matched = Index::NONE;
        self.contact = Some(self.now);
        self.links.retain(|member, _| member.id != taking.member.id);
        self.alarms.retain(|alarm| !alarm.is_of_lost_memory());
        self.out.push(Effect::Changed);
        if epoch > memory.ballot.epoch {
            self.persist();
        }
    }

    /// `true`: that this voter is none any more is durable, and it does nothing from now on.
    pub(crate) fn tell_that_it_is_removed(&mut self) -> bool {
        if self.durable_ballot.standing != Standing::Removed {
            return false;
        }
        self.halted = true;
        self.out.push(Effect::Removed { list: self.named_by });
        true
    }

    pub(crate) fn on_change(&mut self, order: ChangeOrder<'_>) {
        let ChangeOrder { token, change, expected, dry_run } = order;
        match self.judge_change(change, expected) {
            Ok(list) if !dry_run => {
                let number = list.number();
                self.out.push(Effect::Propose(list));
                if let Some(mastership) = self.role.master_mut() {
                    mastership.changes.push((token, number));
                }
            }
            decided => {
                let result = decided.map(|list| list.number());
                self.out.push(Effect::ChangeDone { token, result });
            }
        }
    }

    fn judge_change(&mut self, change: &Change, expected: Option<u64>) -> Result<Membership, ChangeRefused> {
        if !self.may_propose() {
            return Err(ChangeRefused::NotNow);
        }
        let is = self.lists.newest().number();
        if let Some(expected) = expected.filter(|expected| *expected != is) {
            return Err(ChangeRefused::Changed { expected, is });
        }
        let (newcomers, incarnation) = (self.newcomers(), self.draw_incarnation());
        let around = Around { newcomers: &newcomers, incarnation };
        let next = change.apply(self.lists.newest(), &around).map_err(|refused| match (refused, change) {
            (ChangeRefused::Counts(_), Change::Readmit { name }) if !self.hears_named(name) => {
                ChangeRefused::NotHeard(name.clone())
            }
            (refused, _) => refused,
        })?;
        let me = |list: &Membership| list.member(self.me.id).cloned();
        let (now, then) = (me(self.lists.newest()), me(&next));
        let fate = |info: &MemberInfo| (info.member, info.suffrage, info.successor);
        if now.as_ref().map(fate) != then.as_ref().map(fate) {
            return Err(ChangeRefused::IsMaster(now.map(|info| info.name).unwrap_or_default()));
        }
        self.check_list(&next)?;
        Ok(next)
    }

    fn hears_named(&self, name: &str) -> bool {
        self.lists.newest().named(name).is_some_and(|info| self.word_of(info.member) != Word::NotHeard)
    }

    fn draw_incarnation(&mut self) -> Incarnation {
        let (high, low) = (self.random.next_u64(), self.random.next_u64());
        Incarnation((u128::from(high) << 64 | u128::from(low)).max(1))
    }

    /// Whether this voter knows what is committed, and so which list the next one follows.
    fn may_propose(&self) -> bool {
        let Some(mastership) = self.role.master() else { return false };
        let of_own_epoch = self.commit >= mastership.first_own || Mutant::ProposesEarly.is_active();
        let one_at_a_time = self.list_is_committed() || Mutant::ProposesTwoAtOnce.is_active();
        of_own_epoch && one_at_a_time
    }

    /// Whether the cluster could go on with this list.
    fn check_list(&self, next: &Membership) -> Result<(), ChangeRefused> {
        assert!(self.lists.newest().voters_apart(next) <= 1, "two voters differ: majorities need not meet");
        let sound = next.voters().filter(|voter| self.goes_on(voter.member)).count();
        let (voters, needed) = (next.voter_count(), next.majority());
        if sound < needed && !Mutant::ProposesWithoutMajority.is_active() {
            return Err(ChangeRefused::NoMajority { voters, sound, needed });
        }
        Ok(())
    }

    /// Whether this voter is here, counts, and had everything in the last round.
    fn goes_on(&self, member: Member) -> bool {
        match self.role.master() {
            _ if member == self.me => self.is_certain(),
            Some(mastership) => {
                self.word_of(member) == Word::Counts && mastership.complete_rounds(member) >= 1
            }
            None => false,
        }
    }

    /// Takes the next step of what the list says is to come.
    pub(crate) fn go_on_with_members(&mut self) {
        self.refuse_what_was_not_written();
        if !self.may_propose() {
            return;
        }
        let Some(next) = next_step(self.lists.newest(), self) else { return };
        if self.check_list(&next).is_ok() {
            self.out.push(Effect::Propose(next));
        }
    }

    /// An address that a member states itself takes the place of the one that is listed.
    fn moved(&self) -> Option<Change> {
        let moved = self.lists.newest().members().iter().find_map(|info| {
            let said = self.links.get(&info.member)?.introduced.as_ref()?;
            let is_new = said.address != info.address && !said.address.is_empty();
            is_new.then(|| (info.name.clone(), said.address.clone()))
        });
        moved.map(|(name, address)| Change::Move { name, address })
    }

    /// A list for which the disk had no room was not written.
    fn refuse_what_was_not_written(&mut self) {
        let newest = self.lists.newest().number();
        let Some(mastership) = self.role.master_mut() else { return };
        let lost: Vec<ChangeToken> = mastership
            .changes
            .extract_if(.., |(_, number)| *number > newest)
            .map(|(token, _)| token)
            .collect();
        for token in lost {
            self.out.push(Effect::ChangeDone { token, result: Err(ChangeRefused::NotNow) });
        }
    }

    /// The list that an operator's change made is committed.
    pub(crate) fn answer_changes(&mut self) {
        let (newest, at, commit) = (self.lists.newest().number(), self.lists.newest_at(), self.commit);
        let Some(mastership) = self.role.master_mut() else { return };
        if at > commit || mastership.changes.is_empty() {
            return;
        }
        let done: Vec<_> = mastership.changes.extract_if(.., |(_, number)| *number <= newest).collect();
        for (token, number) in done {
            self.out.push(Effect::ChangeDone { token, result: Ok(number) });
        }
    }
}

impl Outlook for Voter {
    fn is_ready(&self, member: Member) -> bool {
        let complete = |needed| {
            self.role.master().is_some_and(|mastership| mastership.complete_rounds(member) >= needed)
        };
        let has_state = self.links.get(&member).is_some_and(|link| link.stateless().is_none());
        let needed = if Mutant::PromotesEarly.is_active() { 0 } else { 2 };
        self.word_of(member) == Word::Counts && has_state && complete(needed)
    }

    fn is_heard(&self, member: Member) -> bool {
        Voter::is_heard(self, member)
    }

    fn is_missed(&self, member: Member) -> bool {
        let patience = self.lists.newest().replace_after();
        let Some(mastership) = self.role.master() else { return false };
        let heard = self.links.get(&member).and_then(|link| link.heard).unwrap_or_default();
        let since = heard.max(mastership.since).max(mastership.replaced_at.unwrap_or_default());
        !patience.is_zero() && member != self.me && self.now.since(since) >= patience
    }

    fn is_me(&self, member: Member) -> bool {
        member == self.me
    }

    fn moved(&self) -> Option<Change> {
        Voter::moved(self)
    }
}
