//! How fast a device is, for cutting long replays.

use super::DeviceKind;

/// Seconds per unit of a dispatch's weight (see [`super::Cost`]), learned from timed replays.
pub(super) struct Pace {
    pub seconds_per_weight: f64,
}

impl Pace {
    /// A cautious first guess, corrected by the first replay that is waited for.
    pub fn for_kind(kind: DeviceKind) -> Self {
        let weight_per_second = match kind {
            DeviceKind::Cpu => 2e10,
            DeviceKind::Integrated | DeviceKind::Other => 2e11,
            DeviceKind::Discrete => 1e12,
        };
        Self { seconds_per_weight: 1.0 / weight_per_second }
    }
}
