//! How a case is run: devices, tensors, guarded outputs, gradients, comparison.

mod compare;
mod devices;
mod evaluate;
mod fixture;
mod matrix;
mod normalize;
mod parsed;
mod tensor;
mod training;

pub use compare::assert_close;
pub use devices::{Device, devices, devices_and_bands};
pub use evaluate::{Evaluated, evaluate, evaluate_with_gradients};
pub use fixture::Fixture;
pub use matrix::Matrix;
pub use normalize::normalize;
pub use parsed::{Parsed, tint_accepts, tint_is_installed};
pub use tensor::Tensor;
pub use training::{GROUPS, Training, record_update};
