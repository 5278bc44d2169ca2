// Package expr reads and evaluates the ${...} expressions of recipes and
// flows. It is pure: the same source and scope always give the same value.
//
// Values are what JSON knows: nil, bool, int, float64, string, []any and
// map[string]any. Whole numbers are int, also when they come from JSON.
package expr

import "time"

// Scope is what an expression can see. Implementations are asked only for
// what the expression mentions, so building one costs nothing.
type Scope interface {
	// Root returns the value of a reserved root: inputs, vars, env, run,
	// iterate or self; of inputs it may be a *Result. The second result is false
	// where it does not exist.
	Root(name string) (any, bool)
	// Job returns what is known of a job of the same flow, false if the flow
	// has no such job.
	Job(name string) (Job, bool)
	// Status answers the status functions success, ready, failure, finished,
	// always and cancelled for the job whose condition is evaluated.
	Status(function string) bool
	// Now is the value of now(): when the run started.
	Now() time.Time
}

// Job is what an expression sees of another job: jobs.<name>.<field>.
type Job struct {
	// Status is the job's state; "pending" while it is not final.
	Status string
	// Outputs is the result, nil when there is none (the job was skipped,
	// blocked, failed or is not final).
	Outputs *Result
	// Error is nil, or has code and message.
	Error map[string]any
	// Attempts is the number of attempts made, Duration the seconds between
	// start and end of the last one.
	Attempts int
	Duration float64
	// Errors lists the failed items of an iterated job, each {index, item,
	// code, message}.
	Errors []any
}

// Ref is a path an expression reads: [inputs url], [jobs fetch outputs file]
// (also for the short form ${fetch.file}) or [iterate item].
type Ref struct {
	Path []string
	// Guarded refs have a ?? default, so that a missing value is no error.
	Guarded bool
}
