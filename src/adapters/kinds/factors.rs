//! What kinds that change whole weights have in common.

use std::rc::Rc;

use crate::{
    nn::Adapter,
    ops,
    tape::{Tape, Value},
    weights::lora::{Site, SiteKind},
};

/// An adapter whose weight is `frozen + scale · change`, `change` being recorded anew in each layer; (out, in · taps).
pub fn changed_weight(site: &Site, scale: Value, change: impl Fn(&mut Tape) -> Value + 'static) -> Adapter {
    let kind = site.kind;
    Adapter::Weight(Rc::new(move |tape, frozen| {
        let change = change(tape);
        let weight = ops::add_to_weight(tape, frozen, kind.taps(), change, scale);
        as_layer_has_it(tape, kind, weight)
    }))
}

/// A weight (out, in · taps) as linear layers and convolutions read it.
pub fn as_layer_has_it(tape: &mut Tape, kind: SiteKind, weight: Value) -> Value {
    if kind == SiteKind::Conv3x3 { ops::conv_taps(tape, weight) } else { weight }
}
