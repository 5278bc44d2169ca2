// Package engine is the state machine of one run: events go in, effects come
// out, and nothing else happens. It knows no clock, no randomness, no Redis
// and no goroutine; the time and a nonce arrive with the events, so that the
// same state and the same events always give the same effects, byte for byte.
//
// A run is a tree of scopes. The root scope is the submitted recipe or flow;
// a job that starts a flow opens a scope below it. Each scope has one node for
// each job, and a node has one unit, or one for each item when the job is
// iterated. Units are what is retried, and those whose job names a handler are
// published as tickets.
//
// What has to be done next stands in a work list. A Step works it off up to a
// budget, so that no commit grows without bounds; what is left over is asked
// for again with Effects.More. The list itself is never stored: Restore
// derives it anew from the records.
package engine
