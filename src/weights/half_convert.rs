//! From storage types to f32, and the search for NaN and infinity by bits.

use anyhow::{Result, bail};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::safetensors_file::{StorageType, Tensor};

/// Elements converted at a time: small enough for the stack and the first-level cache.
const CHUNK: usize = 2048;

impl Tensor<'_> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `row` of a matrix as f32.
    ///
    /// # Errors
    /// As [`Tensor::to_f32`].
    pub fn row_to_f32(&self, row: usize) -> Result<Vec<f32>> {
        let bytes = self.bytes.len() / self.shape[0];
        let (shape, bytes) = (&self.shape[1..], &self.bytes[row * bytes..][..bytes]);
        Tensor { shape, bytes, ..*self }.to_f32()
    }

    /// All elements as f32, row-major: exact for f32, f16 and bf16.
    ///
    /// # Errors
    /// Any other storage type, named with the tensor.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        match self.dtype {
            StorageType::F32 => Ok(f32_from_bytes(self.bytes)),
            StorageType::F16 => Ok(half_to_f32::<f16>(self.bytes)),
            StorageType::BF16 => Ok(half_to_f32::<bf16>(self.bytes)),
            StorageType::Other(dtype) => {
                bail!("tensor {} is stored as {dtype}; only F32, F16 and BF16 can be used: convert the file", self.name)
            }
        }
    }
}

fn f32_from_bytes(bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0f32; bytes.len() / 4];
    bytemuck::cast_slice_mut(&mut values).copy_from_slice(bytes);
    values
}

fn half_to_f32<H>(bytes: &[u8]) -> Vec<f32>
where
    H: bytemuck::Pod,
    [H]: HalfFloatSliceExt,
{
    let mut values = vec![0f32; bytes.len() / 2];
    // Through an aligned buffer, because old files start their data at any offset.
    let mut aligned = [H::zeroed(); CHUNK];
    for (bytes, values) in bytes.chunks(2 * CHUNK).zip(values.chunks_mut(CHUNK)) {
        let halves = &mut aligned[..values.len()];
        bytemuck::cast_slice_mut(halves).copy_from_slice(bytes);
        halves.convert_to_f32_slice(values);
    }
    values
}

/// The index of the first NaN or infinity; `None` for a finite tensor and for storage types other than floats.
pub fn first_non_finite(tensor: &Tensor) -> Option<usize> {
    match tensor.dtype {
        StorageType::F32 => first_with_full_exponent::<4>(tensor.bytes, 0x7f80_0000),
        StorageType::F16 => first_with_full_exponent::<2>(tensor.bytes, 0x7c00),
        StorageType::BF16 => first_with_full_exponent::<2>(tensor.bytes, 0x7f80),
        StorageType::Other(_) => None,
    }
}

/// A float is NaN or infinite exactly when every bit of its exponent is set: then, and only then, adding the
/// exponent's lowest bit to the exponent carries into the sign's place. That tests all elements of an eight-byte word
/// at once, without a branch.
fn first_with_full_exponent<const N: usize>(bytes: &[u8], exponent: u32) -> Option<usize> {
    let in_every_element = |bits: u32| (0..8 / N).fold(0, |word, i| word | u64::from(bits) << (8 * N * i));
    let lowest = exponent & exponent.wrapping_neg();
    let (exponents, carry, signs) =
        (in_every_element(exponent), in_every_element(lowest), in_every_element(exponent + lowest));
    let is_full = |element: &[u8; N]| {
        let mut word = [0u8; 8];
        word[..N].copy_from_slice(element);
        u64::from_le_bytes(word) & u64::from(exponent) == u64::from(exponent)
    };
    bytes.chunks(CHUNK * N).enumerate().find_map(|(index, chunk)| {
        let (words, rest) = chunk.as_chunks::<8>();
        let sums = words.iter().fold(0, |sums, word| sums | ((u64::from_le_bytes(*word) & exponents) + carry));
        if sums & signs == 0 && rest.is_empty() {
            return None;
        }
        let (elements, _) = chunk.as_chunks::<N>();
        elements.iter().position(is_full).map(|position| index * CHUNK + position)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: StorageType, shape: &[usize], bytes: &[u8], check: impl Fn(&Tensor)) {
        // One byte ahead of the data: conversions must not need alignment.
        let shifted: Vec<u8> = std::iter::once(0).chain(bytes.iter().copied()).collect();
        check(&Tensor { name: "t", dtype, shape, bytes: &shifted[1..] });
    }

    #[test]
    fn converts_every_float_type_exactly() {
        let n = CHUNK + 3;
        let values: Vec<f32> = (0..n).map(|i| (i % 250) as f32 * 0.5 - 60.0).collect();
        let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        let brains: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
        let check = |t: &Tensor| assert_eq!(t.to_f32().expect("a float type"), values);
        tensor(StorageType::F32, &[n], bytemuck::cast_slice(&values), check);
        tensor(StorageType::F16, &[n], bytemuck::cast_slice(&halves), check);
        tensor(StorageType::BF16, &[n], bytemuck::cast_slice(&brains), check);
    }

    #[test]
    fn refuses_other_types_by_name() {
        let other = StorageType::Other(safetensors::Dtype::I64);
        tensor(other, &[1], &[0; 8], |t| {
            let text = t.to_f32().expect_err("an integer").to_string();
            assert!(text.contains("tensor t") && text.contains("I64"), "{text}");
        });
    }

    #[test]
    fn finds_the_first_non_finite_element() {
        let at = CHUNK + 7;
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![f32::MAX; CHUNK * 2];
            let expect = |t: &Tensor| assert_eq!(first_non_finite(t), Some(at));
            values[at] = bad;
            tensor(StorageType::F32, &[CHUNK * 2], bytemuck::cast_slice(&values), expect);
            let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v.min(65504.0))).collect();
            let brains: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v * 0.5)).collect();
            tensor(StorageType::BF16, &[CHUNK * 2], bytemuck::cast_slice(&brains), expect);
            if bad == f32::NEG_INFINITY {
                tensor(StorageType::F16, &[CHUNK * 2], bytemuck::cast_slice(&halves), expect);
            }
        }
    }

    #[test]
    fn looks_at_the_last_elements_too() {
        for n in 1..10 {
            let mut values = vec![f16::ONE; n];
            values[n - 1] = f16::NEG_INFINITY;
            tensor(StorageType::F16, &[n], bytemuck::cast_slice(&values), |t| {
                assert_eq!(first_non_finite(t), Some(n - 1));
            });
        }
    }

    #[test]
    fn the_largest_and_smallest_values_are_finite() {
        let finite = |t: &Tensor| assert_eq!(first_non_finite(t), None);
        let halves = [f16::MAX, f16::MIN, f16::MIN_POSITIVE_SUBNORMAL, f16::NEG_ZERO];
        tensor(StorageType::F16, &[4], bytemuck::cast_slice(&halves), finite);
        let brains = [bf16::MAX, bf16::MIN, bf16::MIN_POSITIVE_SUBNORMAL, bf16::NEG_ZERO];
        tensor(StorageType::BF16, &[4], bytemuck::cast_slice(&brains), finite);
        let singles = [f32::MAX, f32::MIN, f32::from_bits(1), -0.0];
        tensor(StorageType::F32, &[4], bytemuck::cast_slice(&singles), finite);
    }
}
