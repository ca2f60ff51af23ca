//! The routes of a model as its broker sees them: what each may be given, and what it told of itself.

use super::message::{Assigned, Output};
use super::view::RouteView;
use crate::core::time::Time;

/// Credits and view of a route, in its present life.
#[derive(Debug)]
pub(super) struct Credits<J> {
    life: u32,
    /// Jobs assigned in this life, and how many may be.
    assigned: u64,
    limit: u64,
    pub(super) view: RouteView,
    /// Jobs for it that are not put out yet.
    batch: Vec<Assigned<J>>,
}

impl<J> Credits<J> {
    fn new(life: u32) -> Self {
        Self { life, assigned: 0, limit: 0, view: RouteView::new(), batch: Vec::new() }
    }

    /// Returns how many jobs it may be given now.
    pub(super) fn open(&self) -> u64 {
        self.limit.saturating_sub(self.assigned)
    }

    pub(super) fn assign(&mut self, job: Assigned<J>) {
        self.assigned += 1;
        self.batch.push(job);
    }
}

/// The routes of one model.
#[derive(Debug)]
pub(super) struct Routes<J> {
    pub(super) all: Vec<Credits<J>>,
    /// The last opening of a route for which jobs were looked at that cannot wait for it.
    pub(super) hopeless_until: Time,
}

impl<J> Routes<J> {
    pub(super) const fn new() -> Self {
        Self { all: Vec::new(), hopeless_until: Time::ZERO }
    }

    pub(super) fn views(&self) -> impl Iterator<Item = &RouteView> {
        self.all.iter().map(|credits| &credits.view)
    }

    /// Takes a route's update; says whether it is from its present life.
    pub(super) fn update(&mut self, route: usize, life: u32, limit: u64, view: RouteView) -> bool {
        let Some(credits) = self.all.get_mut(route).filter(|credits| credits.life == life) else { return false };
        credits.limit = limit;
        credits.view = view;
        true
    }

    /// Puts the routes of those lives in place; returns the positions whose earlier life is over.
    pub(super) fn wire(&mut self, lives: &[u32]) -> Vec<u32> {
        let mut gone = Vec::new();
        for (route, life) in lives.iter().enumerate() {
            match self.all.get_mut(route) {
                None => self.all.push(Credits::new(*life)),
                Some(old) if old.life != *life => {
                    *old = Credits::new(*life);
                    gone.push(holder(route));
                }
                Some(_) => {}
            }
        }
        gone.extend((lives.len()..self.all.len()).map(holder));
        self.all.truncate(lives.len());
        gone
    }

    /// Returns the route with the most credit, where any has some: so a faster route serves more.
    pub(super) fn most_credit(&self) -> Option<usize> {
        let best = self.all.iter().enumerate().max_by_key(|(_, credits)| credits.open());
        best.filter(|(_, credits)| credits.open() > 0).map(|(route, _)| route)
    }

    /// Returns the first opening of a route, where there are any.
    pub(super) fn opens_at(&self) -> Option<Time> {
        self.views().map(RouteView::closed_until).min()
    }

    /// Puts out what the routes were given.
    pub(super) fn flush(&mut self) -> impl Iterator<Item = Output<J>> {
        let given = self.all.iter_mut().enumerate().filter(|(_, credits)| !credits.batch.is_empty());
        given.map(|(route, credits)| Output::Assign { route, jobs: std::mem::take(&mut credits.batch) })
    }
}

/// Returns the number by which the fair queue knows a route.
#[allow(clippy::cast_possible_truncation, reason = "a handful of routes")]
pub(super) const fn holder(route: usize) -> u32 {
    route as u32
}
