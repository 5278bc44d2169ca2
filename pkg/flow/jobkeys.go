package flow

import (
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// jobKey is a row of the table of a job's keys.
type jobKey struct {
	name, doc string
	kind      kind[parsedJob]
	// on lists the forms of job in which the key has an effect. Jobs of another
	// form must not have it. Steps of a recipe know it only with recipeStep.
	on forms
	// with is a key that this one requires.
	with string
	// inherits lists the forms of job that take the value from defaults when they
	// do not set their own. With merged they also take it when they do, and copy
	// combines both. asDefault is the kind of the value in defaults if it differs.
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

// whatKeys are the keys that say what a job is and when it runs.
func whatKeys(l *language) []jobKey {
	return []jobKey{
		{name: "description", doc: "Shown to people.", on: anyStep, kind: asText(func(j *parsedJob) *string { return &j.Description })},
		{name: "labels", doc: "Labels for people.", on: anyStep, kind: asTexts(func(j *parsedJob) *map[string]string { return &j.Labels })},
		{name: "job", doc: "The handler that runs the job.", on: anyJob, kind: asHandler(func(j *parsedJob) *string { return &j.Handler })},
		{name: "workflowPath", doc: "With `job: runWorkflow`: the path of the flow.", on: anyJob, kind: asCall()},
		{name: "flow", doc: "The flow to start: its name, or its path relative to this file or the project.", on: anyStep, kind: asCall()},
		{name: "approval", doc: "Waits for a person to approve or reject.", on: anyStep, kind: asPart(&l.approval, func(j *parsedJob) **Approval { return &j.Approval })},
		{name: "waitFor", doc: "Waits for a signal.", on: anyStep, kind: asPart(&l.waitFor, func(j *parsedJob) **WaitFor { return &j.WaitFor })},
		{name: "delay", doc: "Delays the start. Without a handler or a flow the delay is the job.", on: anyStep, kind: asDelay(&l.delay)},
		{name: "dependsOn", doc: "The jobs this one waits for; a map says for which outcome.", on: anyStep, kind: asDependsOn()},
		{name: "if", doc: "An expression; false skips the job.", on: anyStep, kind: asCondition(use{}, func(j *parsedJob) **expr.Condition { return &j.If })},
	}
}

// iterateKeys are the keys that say how often a job runs.
func iterateKeys(l *language) []jobKey {
	const many = anyStep &^ delayJob
	return []jobKey{
		{name: "iterate", doc: "A task for each element of a list, a map or a range.", on: many, kind: asIterate(&l.numbers)},
		{name: "batch", doc: "With iterate: the number of elements of a task.", on: many, with: "iterate", kind: asCount(1, func(j *parsedJob) *int { return &j.Batch })},
		{name: "iteratePick", doc: "Keeps only this path of each result.", on: many, with: "iterate", kind: asText(func(j *parsedJob) *string { return &j.IteratePick })},
		{name: "parallelism", doc: "With iterate: the most tasks at once.", on: many, with: "iterate", kind: asCount(1, func(j *parsedJob) *int { return &j.Parallelism })},
		{name: "failFast", doc: "With iterate: start no more tasks after a failure.", on: many, with: "iterate", kind: asBoolean(func(j *parsedJob) *bool { return &j.FailFast })},
		{name: "maxFailures", doc: `With iterate: how many tasks may fail, a number or a share such as "5%".`, on: many, with: "iterate", kind: asMaxFailures()},
	}
}

// attemptKeys are the keys that say how a job is attempted.
func attemptKeys(l *language) []jobKey {
	return []jobKey{
		{name: "queue", doc: "The queue; workers serve those in their ORCHIS_QUEUES.", on: handlerJob, inherits: anyJob, kind: asQueue(func(j *parsedJob) *string { return &j.Queue })},
		{name: "priority", doc: "The order of tickets: low, normal, high, or 0 to 9.", on: anyStep, inherits: anyJob, kind: asPriority(func(j *parsedJob) *int { return &j.Priority })},
		{name: "concurrency", doc: "The most at once, in a group that all runs share.", on: workStep, kind: asPart(&l.concurrency, func(j *parsedJob) **Concurrency { return &j.Concurrency })},
		{name: "rateLimit", doc: "A token bucket that all workers share.", on: handlerJob | flowJob, kind: asPart(&l.rateLimit, func(j *parsedJob) **RateLimit { return &j.RateLimit })},
		{name: "cache", doc: "Reuses the result in other runs.", on: handlerJob, inherits: handlerJob, kind: asCache(&l.cache, "cache"), asDefault: asDefaultCache(&l.cache)},
		{name: "artifacts", doc: "How long its files are kept.", on: handlerJob, kind: asArtifacts(&l.artifacts)},
		{name: "retries", doc: "The number of retries, or a rule for retries.", on: workStep, inherits: handlerJob, kind: asRetries(&l.retries, func(j *parsedJob) *Retries { return &j.Retries })},
		{name: "timeout", doc: "The time limit of an attempt, from its start on the worker.", on: workStep, inherits: handlerJob, kind: asDuration(func(j *parsedJob) *time.Duration { return &j.Timeout })},
		{name: "queueTimeout", doc: "The longest wait for a worker.", on: handlerJob, inherits: handlerJob, kind: asDuration(func(j *parsedJob) *time.Duration { return &j.QueueTimeout })},
		{name: "heartbeatTimeout", doc: "The longest time between two progress reports.", on: handlerJob, inherits: handlerJob, kind: asDuration(func(j *parsedJob) *time.Duration { return &j.HeartbeatTimeout })},
		{name: "continueOnError", doc: "A failure stays visible, and the flow continues.", on: anyStep, kind: asBoolean(func(j *parsedJob) *bool { return &j.ContinueOnError })},
	}
}

// valueKeys are the keys of a job's inputs and outputs, and of what follows it.
func valueKeys() []jobKey {
	return []jobKey{
		{name: "secrets", doc: "The secrets that inputs and env may use.", on: handlerJob, kind: asSecrets()},
		{name: "env", doc: "Environment variables for programs.", on: handlerJob, inherits: handlerJob, merged: true, kind: asEnv(), asDefault: asDefaultEnv()},
		{name: "inputs", doc: "The inputs of the handler or flow, computed just before the attempt.", on: workStep, kind: asTemplate(use{items: true, secrets: true}, func(j *parsedJob) **expr.Template { return &j.Inputs })},
		{name: "outputs", doc: "The names and types that the result must have.", on: workStep, kind: asContract(func(j *parsedJob) *[]Input { return &j.Outputs })},
		{name: "onFailure", doc: "Jobs that run after the last attempt failed; with recover they replace the failure.", on: anyStep, kind: asJobHook()},
	}
}
