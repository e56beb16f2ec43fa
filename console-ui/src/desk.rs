use egui::{InnerResponse, Response, Ui};

use crate::model::{ActionState, View};
use crate::request::{Act, Request, Ticket};

/// Where the parts of the window put what the operator asks for.
pub(crate) struct Desk<'a> {
    pub(crate) view: &'a View,
    pub(crate) requests: &'a mut Vec<Request>,
    pub(crate) next_ticket: &'a mut u64,
    /// Whether the past is looked at.
    pub(crate) is_past: bool,
}

impl Desk<'_> {
    /// Has something done.
    pub(crate) fn act(&mut self, act: Act) -> Ticket {
        assert!(self.may_change(), "controls that change something are off");
        let ticket = self.ticket();
        self.requests.push(Request::Do(ticket, act));
        ticket
    }

    /// A new ticket.
    pub(crate) fn ticket(&mut self) -> Ticket {
        *self.next_ticket += 1;
        Ticket(*self.next_ticket)
    }

    pub(crate) fn ask(&mut self, request: Request) {
        self.requests.push(request);
    }

    /// Whether anything can be changed from here now.
    pub(crate) fn may_change(&self) -> bool {
        self.view.access.may_change && !self.is_past
    }

    /// Shows a control that changes something: off, and saying why, when it would not.
    pub(crate) fn changing(&self, ui: &mut Ui, show: impl FnOnce(&mut Ui) -> Response) -> Response {
        let InnerResponse { inner, .. } = ui.add_enabled_ui(self.may_change(), show);
        inner.on_disabled_hover_text(if self.is_past {
            "This is the past. Go back to live to change something."
        } else {
            "A viewer's certificate sees everything and changes nothing."
        })
    }

    /// What became of an action.
    pub(crate) fn state(&self, ticket: Ticket) -> Option<&ActionState> {
        self.view.actions.iter().find(|action| action.ticket == ticket).map(|action| &action.state)
    }
}
