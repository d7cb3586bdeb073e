//! The recurrent part: long short-term memory (Hochreiter, Schmidhuber 1997) with a forget gate (Gers et al. 2000), and
//! its gradient by going back through time.
use super::math::{add_scaled, dot, sigmoid, tanh};

/// Values that the net sees of each step.
pub(super) const INPUTS: usize = 4;

/// Size of the state.
pub(super) const UNITS: usize = 32;

/// Gates side by side: input, forget, candidate, output.
const GATES: usize = 4 * UNITS;

/// Weights: from the inputs, from the state, and the biases.
pub(super) const WEIGHTS: usize = (INPUTS + UNITS + 1) * GATES;

/// Offset of the forget gate's biases. They start at 1, so that the net remembers before it has learnt to
/// (Jozefowicz, Zaremba, Sutskever 2015).
pub(super) const FORGET_BIASES: std::ops::Range<usize> =
    (INPUTS + UNITS) * GATES + UNITS..(INPUTS + UNITS) * GATES + 2 * UNITS;

/// What the way back needs of the way forth; reused from one sequence to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    /// Gates after their squashing, step by step.
    gates: Vec<f32>,
    /// Memory before the first step and after each.
    memory: Vec<f32>,
    /// State before the first step and after each.
    state: Vec<f32>,
    inputs: Vec<f32>,
}

impl Tape {
    /// State after the last step.
    pub(super) fn state(&self) -> &[f32] {
        &self.state[self.state.len() - UNITS..]
    }

    /// Runs over a sequence, [`INPUTS`] values for each step.
    pub(super) fn run(&mut self, weights: &[f32], inputs: &[f32]) {
        self.inputs.clear();
        self.inputs.extend_from_slice(inputs);
        self.gates.clear();
        self.memory.clear();
        self.memory.resize(UNITS, 0.0);
        self.state.clear();
        self.state.resize(UNITS, 0.0);
        let (from_inputs, rest) = weights.split_at(INPUTS * GATES);
        let (from_state, biases) = rest.split_at(UNITS * GATES);
        let mut gates = [0.0_f32; GATES];
        for input in inputs.chunks_exact(INPUTS) {
            gates.copy_from_slice(biases);
            for (value, weights) in input.iter().zip(from_inputs.chunks_exact(GATES)) {
                add_scaled(&mut gates, *value, weights);
            }
            let before = self.state.len() - UNITS;
            for (value, weights) in self.state[before..].iter().zip(from_state.chunks_exact(GATES)) {
                add_scaled(&mut gates, *value, weights);
            }
            for (at, gate) in gates.iter_mut().enumerate() {
                *gate = if at / UNITS == 2 { tanh(*gate) } else { sigmoid(*gate) };
            }
            for unit in 0..UNITS {
                let [input, forget, candidate, output] = gates_of(&gates, unit);
                let memory = forget * self.memory[before + unit] + input * candidate;
                self.memory.push(memory);
                self.state.push(output * tanh(memory));
            }
            self.gates.extend_from_slice(&gates);
        }
    }

    /// Adds the gradient to `gradient`, given that of the last state.
    pub(super) fn back(&self, weights: &[f32], of_state: &[f32], gradient: &mut [f32]) {
        let from_state = &weights[INPUTS * GATES..(INPUTS + UNITS) * GATES];
        let (to_inputs, rest) = gradient.split_at_mut(INPUTS * GATES);
        let (to_state, to_biases) = rest.split_at_mut(UNITS * GATES);
        let mut of_state = of_state.to_vec();
        let mut of_memory = [0.0_f32; UNITS];
        let mut of_gates = [0.0_f32; GATES];
        for step in (0..self.gates.len() / GATES).rev() {
            let gates = &self.gates[step * GATES..(step + 1) * GATES];
            let before = step * UNITS;
            for unit in 0..UNITS {
                let [input, forget, candidate, output] = gates_of(gates, unit);
                let squashed = tanh(self.memory[before + UNITS + unit]);
                let memory = of_memory[unit] + of_state[unit] * output * (1.0 - squashed * squashed);
                of_gates[unit] = memory * candidate * input * (1.0 - input);
                of_gates[UNITS + unit] = memory * self.memory[before + unit] * forget * (1.0 - forget);
                of_gates[2 * UNITS + unit] = memory * input * (1.0 - candidate * candidate);
                of_gates[3 * UNITS + unit] = of_state[unit] * squashed * output * (1.0 - output);
                of_memory[unit] = memory * forget;
            }
            let input = &self.inputs[step * INPUTS..(step + 1) * INPUTS];
            for (value, gradient) in input.iter().zip(to_inputs.chunks_exact_mut(GATES)) {
                add_scaled(gradient, *value, &of_gates);
            }
            add_scaled(to_biases, 1.0, &of_gates);
            for (value, gradient) in self.state[before..].iter().zip(to_state.chunks_exact_mut(GATES)) {
                add_scaled(gradient, *value, &of_gates);
            }
            for (of_state, weights) in of_state.iter_mut().zip(from_state.chunks_exact(GATES)) {
                *of_state = dot(weights, &of_gates);
            }
        }
    }
}

fn gates_of(gates: &[f32], unit: usize) -> [f32; 4] {
    [gates[unit], gates[UNITS + unit], gates[2 * UNITS + unit], gates[3 * UNITS + unit]]
}
