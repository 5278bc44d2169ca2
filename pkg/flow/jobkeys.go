package flow

import (
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// jobKey is a row of the table of a job's keys.
type jobKey struct {
	name, doc string
	kind      kind[parsedJob]
	// on is the forms of job in which the key has an effect. Jobs of another
	// form cannot have it, and flows of a recipe only know it with recipeStep.
	on forms
	// with is the key without which this one has no effect.
	with string
	// inherits is the forms of job that take the value from defaults when they do
	// not say it; with merged also when they do. asDefault is the kind of the
	// value in defaults when it differs.
	inherits  forms
	merged    bool
	asDefault kind[parsedJob]
}

// jobKeys is the table of a job's keys in their usual order: what it is, when
// it runs, how often, how, with what, and what follows.
func jobKeys(l *language) []jobKey {
	keys := whatKeys(l)
	keys = append(keys, iterateKeys(l)...)
	keys = append(keys, attemptKeys(l)...)
	return append(keys, valueKeys()...)
}

// whatKeys say what a job is and when it runs.
func whatKeys(l *language) []jobKey {
	return []jobKey{
		{name: "description", doc: "Shown to people.", on: anyStep, kind: asText(func(j *parsedJob) *string { return &j.Description })},
		{name: "labels", doc: "Texts for people.", on: anyStep, kind: asTexts(func(j *parsedJob) *map[string]string { return &j.Labels })},
		{name: "job", doc: "The handler that does it.", on: anyJob, kind: asHandler(func(j *parsedJob) *string { return &j.Handler })},
		{name: "workflowPath", doc: "With `job: runWorkflow`: the path of the flow.", on: anyJob, kind: asCall()},
		{name: "flow", doc: "The flow to start: its name, or its path relative to this file or the project.", on: anyStep, kind: asCall()},
		{name: "approval", doc: "Waits for somebody to say yes or no.", on: anyStep, kind: asPart(&l.approval, func(j *parsedJob) **Approval { return &j.Approval })},
		{name: "waitFor", doc: "Waits for a signal.", on: anyStep, kind: asPart(&l.waitFor, func(j *parsedJob) **WaitFor { return &j.WaitFor })},
		{name: "delay", doc: "Puts off the start, or is the job itself.", on: anyStep, kind: asDelay(&l.delay)},
		{name: "dependsOn", doc: "The jobs this one waits for; a map says for which outcome.", on: anyStep, kind: asDependsOn()},
		{name: "if", doc: "An expression; false skips the job.", on: anyStep, kind: asCondition(use{}, func(j *parsedJob) **expr.Condition { return &j.If })},
	}
}

// iterateKeys say how often a job runs.
func iterateKeys(l *language) []jobKey {
	const many = anyStep &^ delayJob
	return []jobKey{
		{name: "iterate", doc: "A task for each element of a list, a map or a range.", on: many, kind: asIterate(&l.numbers)},
		{name: "batch", doc: "With iterate: elements of a task.", on: many, with: "iterate", kind: asCount(1, func(j *parsedJob) *int { return &j.Batch })},
		{name: "iteratePick", doc: "Keep only this path of each result.", on: many, with: "iterate", kind: asText(func(j *parsedJob) *string { return &j.IteratePick })},
		{name: "parallelism", doc: "With iterate: tasks at once.", on: many, with: "iterate", kind: asCount(1, func(j *parsedJob) *int { return &j.Parallelism })},
		{name: "failFast", doc: "With iterate: start no more after a failure.", on: many, with: "iterate", kind: asBoolean(func(j *parsedJob) *bool { return &j.FailFast })},
		{name: "maxFailures", doc: `With iterate: how many may fail, a number or a share such as "5%".`, on: many, with: "iterate", kind: asMaxFailures()},
	}
}

// attemptKeys say how the attempts of a job are made.
func attemptKeys(l *language) []jobKey {
	return []jobKey{
		{name: "queue", doc: "The workers that do it: those with it in ORCHIS_QUEUES.", on: handlerJob, inherits: anyJob, kind: asQueue(func(j *parsedJob) *string { return &j.Queue })},
		{name: "priority", doc: "Which tickets come first.", on: anyStep, inherits: anyJob, kind: asPriority(func(j *parsedJob) *int { return &j.Priority })},
		{name: "concurrency", doc: "How many at once, in a group shared by all runs.", on: workStep, kind: asPart(&l.concurrency, func(j *parsedJob) **Concurrency { return &j.Concurrency })},
		{name: "rateLimit", doc: "Tokens of a bucket shared by all workers.", on: handlerJob | flowJob, kind: asPart(&l.rateLimit, func(j *parsedJob) **RateLimit { return &j.RateLimit })},
		{name: "cache", doc: "Other runs use the result again.", on: handlerJob, inherits: handlerJob, kind: asCache(&l.cache, "cache"), asDefault: asDefaultCache(&l.cache)},
		{name: "artifacts", doc: "How long files that it makes are kept.", on: handlerJob, kind: asArtifacts(&l.artifacts)},
		{name: "retries", doc: "Tries after the first, or a rule for them.", on: workStep, inherits: handlerJob, kind: asRetries(&l.retries, func(j *parsedJob) *Retries { return &j.Retries })},
		{name: "timeout", doc: "The longest time of an attempt, from its start on the worker.", on: workStep, inherits: handlerJob, kind: asDuration(func(j *parsedJob) *time.Duration { return &j.Timeout })},
		{name: "queueTimeout", doc: "The longest wait for a worker.", on: handlerJob, inherits: handlerJob, kind: asDuration(func(j *parsedJob) *time.Duration { return &j.QueueTimeout })},
		{name: "heartbeatTimeout", doc: "The longest silence between two reports of progress.", on: handlerJob, inherits: handlerJob, kind: asDuration(func(j *parsedJob) *time.Duration { return &j.HeartbeatTimeout })},
		{name: "continueOnError", doc: "A failure stays visible, and everything goes on.", on: anyStep, kind: asBoolean(func(j *parsedJob) *bool { return &j.ContinueOnError })},
	}
}

// valueKeys say with what a job works, and what follows.
func valueKeys() []jobKey {
	return []jobKey{
		{name: "secrets", doc: "The secrets that inputs and env may mention.", on: handlerJob, kind: asSecrets()},
		{name: "env", doc: "The environment of programs.", on: handlerJob, inherits: handlerJob, merged: true, kind: asEnv(), asDefault: asDefaultEnv()},
		{name: "inputs", doc: "What goes in; computed just before the attempt.", on: workStep, kind: asTemplate(use{items: true, secrets: true}, func(j *parsedJob) **expr.Template { return &j.Inputs })},
		{name: "outputs", doc: "Names and types the result must have.", on: workStep, kind: asContract(func(j *parsedJob) *[]Input { return &j.Outputs })},
		{name: "onFailure", doc: "Jobs that run after the last attempt failed; recover makes it good.", on: anyStep, kind: asJobHook()},
	}
}
