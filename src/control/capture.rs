//! `ferry capture`: workers are told to show what passes a port, and to show it no longer.

use std::sync::Arc;

use super::core::Control;
use crate::api::{CaptureRefusal, Direction, Watching};
use crate::wire::ethernet;
use crate::worker::{Capture, Filter, Order};

/// Bytes of a frame that are captured, at least.
const LEAST: usize = 2048;

/// Captures, by port.
#[derive(Default)]
pub struct Captures {
    running: Vec<(u16, Arc<Capture>)>,
    /// Those that workers may still hold: the last to let go of one is the control core, as workers free no memory.
    ended: Vec<Arc<Capture>>,
}

impl Control {
    /// Shows what passes a port, until it is ended.
    pub(super) fn capture(
        &mut self,
        port: &str,
        filter: Option<Filter>,
        direction: Direction,
    ) -> Result<Watching, CaptureRefusal> {
        self.end_captures();
        let (index, of) = self.parts.ports.named(port)?;
        if self.captures.running.iter().any(|(running, _)| *running == index) {
            return Err(CaptureRefusal::Busy(port.to_owned()));
        }
        let directions = (direction != Direction::Out, direction != Direction::In);
        let longest = LEAST.max(usize::from(of.port.mtu()) + ethernet::LONGEST);
        let device = of.wanted.device.clone();
        let capture = Capture::new(filter, directions, longest);
        self.captures.running.push((index, capture.clone()));
        self.watch(index, Some(&capture));
        Ok(Watching { capture, port: port.to_owned(), device })
    }

    /// Ends the capture of a port that goes.
    pub(super) fn end_capture_of(&self, port: u16) {
        let of_port = self.captures.running.iter().filter(|(index, _)| *index == port);
        of_port.for_each(|(_, capture)| capture.end());
    }

    /// Has workers forget the captures that nobody looks at any more.
    pub(super) fn end_captures(&mut self) {
        let running = self.captures.running.extract_if(.., |(_, capture)| capture.has_ended());
        let ended: Vec<_> = running.collect();
        for (index, capture) in ended {
            self.watch(index, None);
            self.captures.ended.push(capture);
        }
        self.captures.ended.retain(|capture| Arc::strong_count(capture) > 1);
    }

    fn watch(&self, index: u16, capture: Option<&Arc<Capture>>) {
        for worker in &self.parts.workers {
            worker.mailbox.order(Order::Watch(index, capture.cloned()));
        }
    }
}
