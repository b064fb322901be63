//! Host tensors and reproducible random values.

use half::{bf16, f16};
use lora_wgpu::{ops::Panels, tape::DType};

/// A host tensor: f32 values, and the type it is stored in on the device.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
    pub dtype: DType,
}

impl Tensor {
    pub fn new(shape: &[usize], data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape: shape.to_vec(), data, dtype: DType::F32 }
    }

    /// Normal values, the same for the same seed.
    pub fn random(shape: &[usize], seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
        let data = (0..shape.iter().product::<usize>()).map(|_| normal(&mut state)).collect();
        Self::new(shape, data)
    }

    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Self {
        self.data.iter_mut().for_each(|value| *value *= factor);
        self
    }

    /// A matrix with zeros behind its rows and columns, up to the next multiples of four, as trained ones are stored.
    #[must_use]
    pub fn padded(self) -> Self {
        let &[rows, columns] = &self.shape[..] else { panic!("no matrix") };
        let stored = [rows.next_multiple_of(4), columns.next_multiple_of(4)];
        let mut data = vec![0.0; stored[0] * stored[1]];
        for (row, values) in data.chunks_exact_mut(stored[1]).zip(self.data.chunks_exact(columns)) {
            row[..columns].copy_from_slice(values);
        }
        Self::new(&stored, data)
    }

    /// Stored as `dtype` on the device; the values are rounded to it.
    #[must_use]
    pub fn stored_as(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        for value in &mut self.data {
            *value = match dtype {
                DType::F16 => f16::from_f32(*value).to_f32(),
                DType::BF16 => bf16::from_f32(*value).to_f32(),
                DType::F32 | DType::U32 => *value,
            };
        }
        self
    }

    /// A tensor of matrices, its last two dimensions, laid out as frozen weights of models are.
    #[must_use]
    pub fn in_panels(self) -> Self {
        let [outer @ .., rows, columns] = &self.shape[..] else { panic!("no matrix") };
        let (rows, columns) = (*rows, *columns);
        let panels = Panels::of(rows, columns);
        let mut data = self.data.clone();
        for (matrix, stored) in data.chunks_exact_mut(rows * columns).zip(self.data.chunks_exact(rows * columns)) {
            for (at, value) in stored.iter().enumerate() {
                matrix[panels.index(at / columns, at % columns)] = *value;
            }
        }
        Self { shape: [outer, &panels.shape()].concat(), data, dtype: self.dtype }
    }

    /// Bytes as the device stores them; a `U32` tensor holds whole numbers.
    pub fn device_bytes(&self) -> Vec<u8> {
        match self.dtype {
            DType::F32 => bytemuck::cast_slice(&self.data).to_vec(),
            DType::U32 => self.data.iter().flat_map(|&value| (value as u32).to_le_bytes()).collect(),
            DType::F16 => self.data.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
            DType::BF16 => self.data.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
        }
    }
}

fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn normal(state: &mut u64) -> f32 {
    let radius = (-2.0 * (1.0 - uniform(state)).ln()).sqrt();
    (radius * (2.0 * std::f64::consts::PI * uniform(state)).cos()) as f32
}
