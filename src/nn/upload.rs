//! Moving a checkpoint's tensors into the layout and the buffers that kernels read.

use anyhow::{Result, bail};

use crate::{
    gpu::Gpu,
    ops::{PANEL, Panels},
    tape::DType,
    weights::{PartTensors, Tensor, first_non_finite},
};

use super::Weight;

/// How a stored tensor becomes a device weight. Padded rows, columns and channels are zero.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// `(out, in)`, in [`Panels`] where they fit.
    Matrix { out_features: usize, in_features: usize },
    /// `(out, in, 3, 3)` to nine `(in, out)`, each in [`Panels`] where they fit.
    Conv3x3 { out_channels: usize, in_channels: usize },
    /// `(count)`, converted to f32.
    Vector,
}

/// One tensor on its way to the device.
pub struct Upload<'a> {
    pub tensor: Tensor<'a>,
    pub layout: Layout,
    pub weight: Weight,
}

/// Bytes of weights after which the memory of what was read of their files is given back.
const RELEASED_AFTER: u64 = 256 << 20;

/// Uploads all weights of a model, one tensor of `part` at a time; `progress` hears of each tensor's bytes.
///
/// # Errors
/// A tensor that holds a value that is not finite, named; or a failure of the device.
pub(super) fn upload(
    gpu: &Gpu,
    part: &PartTensors,
    uploads: &[Upload<'_>],
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let mut read = 0;
    for upload in uploads {
        if let Some(at) = first_non_finite(&upload.tensor) {
            bail!("{} holds a value that is not finite (element {at}); the checkpoint is damaged", upload.weight.name);
        }
        match upload.layout {
            Layout::Vector => gpu.upload(&upload.weight.slice, &padded_vector(upload)?),
            Layout::Matrix { out_features, in_features } if upload.weight.shape == [out_features, in_features] => {
                gpu.upload(&upload.weight.slice, upload.tensor.bytes);
            }
            _ => gpu.upload(&upload.weight.slice, &rearranged(upload)),
        }
        progress(upload.weight.slice.bytes);
        read += upload.tensor.bytes.len() as u64;
        if read >= RELEASED_AFTER {
            part.release_pages();
            read = 0;
        }
    }
    part.release_pages();
    gpu.flush_uploads();
    Ok(gpu.check()?)
}

fn padded_vector(upload: &Upload<'_>) -> Result<Vec<u8>> {
    let mut values = upload.tensor.to_f32()?;
    values.resize(upload.weight.shape[0], 0.0);
    Ok(bytemuck::cast_slice(&values).to_vec())
}

fn rearranged(upload: &Upload<'_>) -> Vec<u8> {
    match upload.weight.dtype {
        DType::F32 | DType::U32 => rearrange::<4>(upload),
        DType::F16 | DType::BF16 => rearrange::<2>(upload),
    }
}

/// Moves elements of `BYTES` bytes to where the device layout wants them.
fn rearrange<const BYTES: usize>(upload: &Upload<'_>) -> Vec<u8> {
    let (stored, _) = upload.tensor.bytes.as_chunks::<BYTES>();
    let mut device = vec![[0u8; BYTES]; upload.weight.shape.iter().product()];
    match upload.layout {
        Layout::Vector => device[..stored.len()].copy_from_slice(stored),
        Layout::Matrix { in_features, .. } => {
            matrix_to_panels(stored, &mut device, panels_of(&upload.weight.shape), in_features);
        }
        Layout::Conv3x3 { out_channels, in_channels } => {
            conv_to_taps(stored, &mut device, panels_of(&upload.weight.shape[1..]), [out_channels, in_channels]);
        }
    }
    device.into_flattened()
}

/// How a matrix of this device shape lies.
fn panels_of(shape: &[usize]) -> Panels {
    Panels::described_by(shape).expect("the builder declares matrices")
}

/// `(out, in)` to the device's layout.
fn matrix_to_panels<T: Copy>(stored: &[T], device: &mut [T], panels: Panels, in_features: usize) {
    for (out, row) in stored.chunks_exact(in_features).enumerate() {
        for (panel, part) in row.chunks(PANEL).enumerate() {
            device[panels.index(out, panel * PANEL)..][..part.len()].copy_from_slice(part);
        }
    }
}

/// `(out, in, 9)` to nine `(in, out)` in the device's layout, in square blocks so that both sides stay in the cache.
fn conv_to_taps<T: Copy>(stored: &[T], device: &mut [T], panels: Panels, [out_channels, in_channels]: [usize; 2]) {
    const BLOCK: usize = 16;
    for out_start in (0..out_channels).step_by(BLOCK) {
        let outs = out_start..out_channels.min(out_start + BLOCK);
        for input in 0..in_channels {
            for tap in 0..9 {
                let row = &mut device[tap * panels.rows * panels.columns + panels.index(input, out_start)..];
                for out in outs.clone() {
                    row[out - out_start] = stored[(out * in_channels + input) * 9 + tap];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_are_stored_tap_by_tap_with_padded_channels() {
        let (out_channels, in_channels) = (5, 3);
        let stored: Vec<u32> = (0..(out_channels * in_channels * 9) as u32).collect();
        let mut device = vec![u32::MAX; 9 * 4 * 8];
        conv_to_taps(&stored, &mut device, Panels::of(4, 8), [out_channels, in_channels]);
        for (out, input, tap) in [(0, 0, 0), (4, 2, 8), (3, 1, 5)] {
            let expected = ((out * in_channels + input) * 9 + tap) as u32;
            assert_eq!(device[(tap * 4 + input) * 8 + out], expected);
        }
        assert_eq!(device[3 * 8], u32::MAX, "padding is left alone");
    }

    #[test]
    fn wide_matrices_and_convolutions_are_stored_in_panels() {
        let (outs, ins) = (3, 128);
        let stored: Vec<u32> = (0..(outs * ins) as u32).collect();
        let mut device = vec![u32::MAX; 4 * ins];
        matrix_to_panels(&stored, &mut device, Panels::of(4, ins), ins);
        for (out, input) in [(0, 0), (2, 63), (1, 64), (2, 127)] {
            assert_eq!(device[(input / 64 * 4 + out) * 64 + input % 64], (out * ins + input) as u32);
        }
        assert_eq!(device[3 * 64], u32::MAX, "padding is left alone");

        let (out_channels, in_channels) = (128, 3);
        let stored: Vec<u32> = (0..(out_channels * in_channels * 9) as u32).collect();
        let mut device = vec![u32::MAX; 9 * 4 * out_channels];
        conv_to_taps(&stored, &mut device, Panels::of(4, out_channels), [out_channels, in_channels]);
        for (out, input, tap) in [(0, 0, 0), (63, 2, 8), (64, 1, 5), (127, 0, 3)] {
            let expected = ((out * in_channels + input) * 9 + tap) as u32;
            assert_eq!(device[((tap * 2 + out / 64) * 4 + input) * 64 + out % 64], expected);
        }
    }
}
