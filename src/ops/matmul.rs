//! Product of two trained matrices: the weight, or the change of one, that low-rank factors stand for.

use crate::tape::{Backward, DType, Lowering, Op, Tape, Value};

use super::gemm::{Gemm, Layout, Operand, launch_gemm};

/// Inputs `a`, `b`.
#[derive(Debug)]
struct Matmul;

/// Inputs in the order of the product that is the gradient.
#[derive(Debug)]
struct MatmulBackward(Layout);

/// a `(M, K)` times b `(K, N)`: `(M, N)`, all f32. Gradients go to both. Rows and columns of zeros in a factor, which pad it
/// to multiples of four, get gradients of exactly zero where the other factor is padded to fit.
///
/// # Panics
/// Where the shapes do not fit, a size is no multiple of 4, or a value is not in f32.
pub fn matmul(tape: &mut Tape, a: Value, b: Value) -> Value {
    let mismatch = || format!("matmul: {:?} and {:?}", tape.shape(a), tape.shape(b));
    let (&[m, k], &[b_rows, n]) = (tape.shape(a), tape.shape(b)) else { panic!("{}", mismatch()) };
    assert!(k == b_rows && [m, k, n].iter().all(|size| size % 4 == 0), "{}", mismatch());
    assert!([a, b].iter().all(|&value| tape.dtype(value) == DType::F32), "matmul: factors are F32");
    tape.push_one(Matmul, &[a, b], &[m, n])
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn is_rebuilt(&self) -> bool {
        true
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, Layout::NN);
    }

    fn backward(&self, backward: &mut Backward<'_>) {
        // out = a · b, so that d_a = d_out · bᵀ and d_b = aᵀ · d_out
        let (a, b, d_out) = (backward.input(0), backward.input(1), backward.d_output(0));
        for (index, layout, factors) in [(0, Layout::NT, [d_out, b]), (1, Layout::TN, [a, d_out])] {
            if backward.wants(index) {
                let shape = backward.tape.shape(backward.input(index)).to_vec();
                let gradient = backward.tape.push_one(MatmulBackward(layout), &factors, &shape);
                backward.give(index, gradient);
            }
        }
    }
}

impl Op for MatmulBackward {
    fn name(&self) -> &'static str {
        "matmul_backward"
    }

    fn lower(&self, lowering: &mut Lowering<'_>) {
        launch(lowering, self.0);
    }
}

fn launch(lowering: &mut Lowering<'_>, layout: Layout) {
    let [a, b, out] = [lowering.input(0), lowering.input(1), lowering.output(0)];
    let matrix = |value: Value| {
        let &[rows, columns] = lowering.shape(value) else { unreachable!("checked while recording") };
        (rows, Operand::matrix(value, columns))
    };
    let ((a_rows, a), (_, b), (m, c)) = (matrix(a), matrix(b), matrix(out));
    let k = if layout == Layout::TN { a_rows } else { a.row_stride };
    let n = c.row_stride;
    launch_gemm(lowering, &Gemm::new(layout, [m, n, k], a, b, c));
}
