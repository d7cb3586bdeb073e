mod decided;
mod elected;
mod guarded;
mod link;
