//! Ending a run early, asked for from another thread: Ctrl-C.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A request shared by a run and whoever may end it.
#[derive(Clone, Debug, Default)]
pub struct StopRequest(Arc<State>);

#[derive(Debug, Default)]
struct State {
    training: AtomicBool,
    requested: AtomicBool,
}

/// What an interruption leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The run ends after its current step and saves what it has learned.
    AfterStep,
    /// There is nothing to save, or nobody wants to wait: the process may end.
    Now,
}

impl StopRequest {
    /// Called when the user interrupts the program.
    pub fn interrupt(&self) -> Interruption {
        let first = !self.0.requested.swap(true, Ordering::Relaxed);
        let training = self.0.training.load(Ordering::Relaxed);
        if first && training { Interruption::AfterStep } else { Interruption::Now }
    }

    /// Ends the run after its step.
    pub fn request(&self) {
        self.0.requested.store(true, Ordering::Relaxed);
    }

    /// From now on there is something to save.
    pub(super) fn training_begins(&self) {
        self.0.training.store(true, Ordering::Relaxed);
    }

    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interruption_of_a_training_waits_for_the_step() {
        let stop = StopRequest::default();
        stop.training_begins();
        assert!(!stop.is_requested());
        assert_eq!(stop.clone().interrupt(), Interruption::AfterStep);
        assert!(stop.is_requested());
        assert_eq!(stop.interrupt(), Interruption::Now);
    }

    #[test]
    fn before_training_an_interruption_ends_at_once() {
        assert_eq!(StopRequest::default().interrupt(), Interruption::Now);
    }
}
