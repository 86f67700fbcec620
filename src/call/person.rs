//! What the machine does when the person, or the engine for it, asks for something.

use std::time::Instant;

use signaling_protocol::{Admission, ClientMessage, DeclineReason, MediaState, PeerId};
use tracing::debug;

use super::input::{Effect, Input};
use super::machine::{ANSWER_WITHIN, CallMachine, Request, Session};
use super::phase::{Attempt, Role, Room, Stage};
use super::reconnect::PathWatch;
use super::roster::{Entry, Member, display_name};
use crate::engine::command::Switch;
use crate::engine::view::{EndReason, Severity};
use crate::link::Link;

impl CallMachine {
    pub(super) fn on_person(&mut self, input: Input, now: Instant, out: &mut Vec<Effect>) {
        match input {
            Input::Name(name) => self.name = name,
            Input::Media(media) => self.set_media(media, now, out),
            Input::MaxBitrate(cap) => {
                self.max_bitrate = cap;
                self.adapter.set_cap(cap);
            }
            Input::Share { mode, sound } => {
                self.share = (mode, sound);
                self.adapter.set_share(mode, sound);
                if self.media_open {
                    self.encode(now, out);
                }
            }
            Input::Hosting => {
                if self.may_begin(now) {
                    self.tear_down(out);
                    self.stage = Stage::Hosting;
                }
            }
            Input::OpenFailed { reason } => {
                if matches!(self.stage, Stage::Hosting) {
                    self.end(EndReason::Failed(reason), now, out);
                }
            }
            Input::Open { server, link, admission, lan_only } => {
                if matches!(self.stage, Stage::Hosting) || self.may_begin(now) {
                    self.tear_down(out);
                    self.begin(Room { server, link, role: Role::Owner, lan_only }, out);
                    self.admission = admission;
                    self.stage = Stage::Opening { until: now + ANSWER_WITHIN };
                    self.start_media(now, out);
                }
            }
            Input::Prepare(link) => {
                if self.may_begin(now) {
                    self.tear_down(out);
                    self.begin(guest(link), out);
                    self.stage = Stage::Prepared(Attempt::default());
                }
            }
            Input::Join(link) => self.join(link, now, out),
            Input::Accept(peer) => self.accept(&peer, now, out),
            Input::Decline(peer) => {
                if self.knockers.iter().any(|knocker| knocker.info.peer == peer) {
                    self.turn_away(&peer, DeclineReason::Declined, out);
                }
            }
            Input::Leave => self.leave(now, out),
            Input::Dismiss => {
                if matches!(self.stage, Stage::Ended(_)) {
                    self.stage = Stage::Idle;
                    self.dirty = true;
                }
            }
            Input::LockRoom(switch) => self.lock(switch, now, out),
            Input::RestartIce => {
                for member in self.members.iter_mut().filter(|member| matches!(member.entry, Entry::Inside)) {
                    member.watch.on_restart();
                    out.push(Effect::RestartIce(member.peer.clone()));
                }
            }
            Input::Notice { severity, text } => self.notice(severity, text, now),
            Input::DismissNotice(id) => self.dirty |= self.notices.dismiss(id),
            Input::Quality(quality) => self.quality = Some(quality),
            Input::Signaling(_) | Input::Transport(_) | Input::Facts(_) | Input::Tick => {
                debug_assert!(false, "not from the person");
            }
        }
    }

    fn set_media(&mut self, media: MediaState, now: Instant, out: &mut Vec<Effect>) {
        self.media = media;
        self.tell_media(out);
        self.adapter.set_camera(Switch::from(media.camera));
        if self.media_open {
            self.encode(now, out);
        }
    }

    /// Whether nothing is going on that a new call would end; says so if there is.
    fn may_begin(&mut self, now: Instant) -> bool {
        let free = self.stage.is_free();
        if !free {
            self.notice(Severity::Info, "You are in a call. Leave it before you begin another one.", now);
        }
        free
    }

    fn begin(&mut self, room: Room, out: &mut Vec<Effect>) {
        self.session = Session::Connecting;
        out.push(Effect::ConnectSignaling { server: room.server.clone(), name: display_name(&self.name) });
        self.room = Some(room);
        self.dirty = true;
    }

    fn join(&mut self, link: Link, now: Instant, out: &mut Vec<Effect>) {
        let same_room = self.room.as_ref().is_some_and(|room| room.link == link);
        match &mut self.stage {
            Stage::Prepared(attempt) if same_room => {
                let attempt = std::mem::take(attempt);
                self.stage = Stage::Joining { attempt, until: now + ANSWER_WITHIN };
            }
            Stage::Joining { .. } | Stage::Knocking { .. } | Stage::InCall if same_room => return,
            _ => {
                if !self.may_begin(now) {
                    return;
                }
                self.tear_down(out);
                self.begin(guest(link), out);
                self.stage = Stage::Joining { attempt: Attempt::default(), until: now + ANSWER_WITHIN };
            }
        }
        self.dirty = true;
        self.start_media(now, out);
        self.advance(now, out);
    }

    /// Lets somebody in: from here on our transport may talk to them.
    pub(super) fn accept(&mut self, peer: &PeerId, now: Instant, out: &mut Vec<Effect>) {
        let Some(at) = self.knockers.iter().position(|knocker| knocker.info.peer == *peer) else {
            debug!(%peer, "accepted, but not at the door any more");
            return;
        };
        if !self.members.iter().all(Member::is_gone) {
            self.notice(Severity::Info, "There is room for one visitor only.", now);
            return;
        }
        let knocker = self.knockers.remove(at);
        let gone: Vec<PeerId> = self.members.iter().map(|member| member.peer.clone()).collect();
        gone.iter().for_each(|member| self.drop_member(member, out));
        let entry = Entry::Answering { early: Vec::new(), until: now + ANSWER_WITHIN };
        let mut member = Member::new(&knocker.info, entry, PathWatch::new(self.turn(peer), now));
        member.verified = knocker.verified;
        self.members.push(member);
        self.stage = Stage::InCall;
        self.dirty = true;
        self.connections_open = true;
        for signal in knocker.signals {
            out.push(Effect::HandleSignal { from: peer.clone(), signal });
        }
    }

    fn leave(&mut self, now: Instant, out: &mut Vec<Effect>) {
        match &self.stage {
            Stage::Idle => {}
            Stage::InCall => self.end(EndReason::Left, now, out),
            Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Prepared(_)
            | Stage::Joining { .. }
            | Stage::Knocking { .. }
            | Stage::Ended(_) => self.tear_down(out),
        }
    }

    fn lock(&mut self, switch: Switch, now: Instant, out: &mut Vec<Effect>) {
        let Some(room) = self.room.as_ref().filter(|_| self.stage.is_inside()) else { return };
        if room.role != Role::Owner {
            self.notice(Severity::Info, "Only the person who opened the room can lock it.", now);
            return;
        }
        let message =
            ClientMessage::RoomSet { room: room.id().clone(), locked: Some(switch.is_on()), admission: None };
        self.request(Request::Set, message, out);
    }

    /// Whether newcomers come in without being asked about.
    pub(super) fn is_open(&self) -> bool {
        match self.admission {
            Admission::Open => true,
            Admission::Knock => false,
        }
    }
}

fn guest(link: Link) -> Room {
    Room { server: link.server.clone(), link, role: Role::Guest, lan_only: false }
}
