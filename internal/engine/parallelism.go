package engine

import "github.com/orchis-run/orchis/pkg/flow"

// place is where a unit is under the limits of the scopes above it: each scope
// bounds how many tickets it and the scopes below it have at once.
//
//	outside --acquire--> held, or parked when a scope is full
//	parked  --another unit's release--> woken
//	woken   --acquire--> held, or parked again
//	parked, woken, held --release--> outside
type place uint8

const (
	// outside units take no place and wait for none.
	outside place = iota
	// parked units are in the list of the first scope that had no free place. A
	// release in that scope wakes them.
	parked
	// woken units left that list, and their work is in the work list. The free
	// place is meant for them but not taken: another unit may be faster.
	woken
	// held units count in each scope above them.
	held
)

// acquire takes a place in every scope above the unit. When one of them is full,
// the unit is parked there and acquire returns false.
func (r *Run) acquire(u *unit) bool {
	if u.place == held {
		return true
	}
	for s := u.node.scope; s != nil; s = s.above() {
		if limit := r.placesOf(s); limit > 0 && s.inFlight >= limit { // mutant: parallelism-limit (boundary 2)
			s.waiters = append(s.waiters, u)
			u.place = parked
			return false
		}
	}
	u.rec.Bulk = r.inLane >= r.limits.LaneQuota
	r.hold(u)
	return true
}

// hold counts the unit in every scope above it, and in the lane of its job.
func (r *Run) hold(u *unit) {
	u.place = held
	for s := u.node.scope; s != nil; s = s.above() {
		s.inFlight++ // mutant: restore-counts-active (skip)
	}
	if !u.rec.Bulk {
		r.inLane++
	}
}

// release gives the unit's places back and wakes a unit of each scope that has
// a free place now. A unit that was parked or woken does so too: the places
// below the full scope, or the place that it was woken for, are free.
func (r *Run) release(u *unit) {
	was := u.place
	if was == outside {
		return
	}
	u.place = outside
	for s := u.node.scope; s != nil; s = s.above() {
		if was == held {
			s.inFlight--
		}
		r.wakeNext(s)
	}
	if was == held && !u.rec.Bulk {
		r.inLane--
	}
	u.rec.Bulk = false
}

// wakeNext wakes the unit that has been parked in a scope for the longest time,
// when the scope has a free place. Units that ended meanwhile are skipped.
func (r *Run) wakeNext(s *scope) {
	for len(s.waiters) > 0 && s.inFlight < r.placesOf(s) {
		next := s.waiters[0]
		s.waiters[0] = nil
		s.waiters = s.waiters[1:]
		if next.place == parked {
			next.place = woken
			r.enqueueUnit(next) // mutant: freed-place-wakes-next (skip)
			return
		}
	}
}

// placesOf returns the number of tickets that a scope and the scopes below it
// may have at once; 0 is no limit. The root scope always has one.
func (r *Run) placesOf(s *scope) int {
	limit := s.plan.def.Parallelism
	if s.parent == nil && (limit == 0 || limit > r.limits.InFlight) {
		return r.limits.InFlight
	}
	return limit
}

// priority returns the priority of the unit's ticket: that of its job, or of one
// lane lower when the run already has its share of tickets in that lane. Lanes
// are low (0 to 3), normal (4 to 6) and high (7 to 9).
func (u *unit) priority() int {
	p := u.node.step.def.Priority
	switch {
	case !u.rec.Bulk || p <= 3:
		return p
	case p >= 7:
		return flow.PriorityNormal
	}
	return flow.PriorityLow
}
