//! What others get to see of the engine: the view, and what is recorded of it.

use std::sync::Arc;

use crate::call::Input;
use crate::clock;
use crate::engine::view::{CallPhase, CallView, Notice};
use crate::record::{Phase, What};

use super::Actor;

impl Actor {
    /// Records what a change of phase means.
    fn tell_phase(&mut self, phase: &CallPhase) {
        self.phase = match phase {
            CallPhase::Idle => Phase::Idle,
            CallPhase::Opening => Phase::Opening,
            CallPhase::Waiting => Phase::Waiting,
            CallPhase::Joining => Phase::Joining,
            CallPhase::Knocking => Phase::Knocking,
            CallPhase::InCall => Phase::InCall,
            CallPhase::Ended(_) => Phase::Ended,
        };
        if *phase != self.view.borrow().phase {
            match phase {
                CallPhase::Ended(summary) => self.record.tell(What::Ended(summary.reason.clone())),
                CallPhase::Waiting => self.record.tell(What::Ready),
                CallPhase::Idle
                | CallPhase::Opening
                | CallPhase::Joining
                | CallPhase::Knocking
                | CallPhase::InCall => {}
            }
        }
        if self.record.phase(self.phase, self.server.as_deref()) && self.phase != Phase::Idle {
            self.diagnose();
        }
    }

    /// Judges the newest recording; what is new about it is recorded, and told to the other side.
    pub(super) fn diagnose(&mut self) {
        let findings = self.diagnosis.update(&self.record.history(), clock::unix_ms());
        if let Some(news) = findings.news {
            self.record.tell(What::Diagnosis(news));
        }
        if let Some(share) = findings.share {
            self.decide(Input::Facts(share.write()));
        }
    }

    fn tell_notices(&mut self, notices: &[Notice]) {
        for notice in notices {
            if self.told_notice.is_none_or(|told| told < notice.id) {
                self.told_notice = Some(notice.id);
                let Notice { severity, text, .. } = notice.clone();
                self.record.tell(What::Notice { severity, text });
            }
        }
    }

    pub(super) fn publish(&mut self) {
        if let Some(marks) = self.talk.take_ours() {
            self.media.show_marks(marks);
        }
        let mut view = CallView::default();
        self.machine.fill(&mut view, clock::now());
        self.talk.on_me(view.my_id.as_ref());
        self.media.fill(&mut view);
        self.quality.fill(&mut view);
        self.talk.fill(&mut view);
        view.devices = self.devices.current();
        view.settings = self.settings.clone();
        self.record.devices(self.media.recorded());
        self.tell_phase(&view.phase);
        if self.phase != Phase::Idle {
            view.verdict = self.diagnosis.first().cloned();
        }
        self.tell_notices(&view.notices);
        self.view.send_if_modified(|shown| {
            let changed = **shown != view;
            if changed {
                *shown = Arc::new(view);
            }
            changed
        });
    }
}
