//! What is trained beside frozen weights: where it stands ([`SitePlan`]), of which kind it is ([`Kind`], a file each in
//! `kinds/`), and where its tensors lie on the device ([`Store`]).

mod blocks;
mod kinds;
mod rules;
mod scales;
mod set;
mod store;
mod targets;

pub use kinds::{Kind, TensorSpec};
pub use rules::{Group, Rules, Size, TextRules, UnetRules};
pub use scales::{Factor, Scales};
pub use set::{AdapterSet, RecordedAdapters, SitePlan};
pub use store::{Placed, Shard, Store, TensorShape};
pub use targets::is_target;
