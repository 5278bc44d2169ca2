package flow

import (
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// Kind is the kind of a definition.
type Kind string

// The kinds of definitions.
const (
	KindRecipe Kind = "recipe" // has flows; what people submit
	KindFlow   Kind = "flow"   // has jobs
	// KindContract is a file of jobs/ that declares the inputs and outputs of a
	// handler.
	KindContract Kind = "contract"
	KindHook     Kind = "hook" // the jobs of a hook, part of a recipe or flow
)

// Bundle is a definition frozen for execution: one recipe or flow together
// with every flow it calls, all defaults filled in. Its JSON form is stored
// with the runs that use it, so that a deploy never changes a running run.
type Bundle struct {
	// Root is the key in Flows of the definition that was loaded.
	Root string `json:"root"`
	// Flows holds every definition by its path relative to the project
	// ("flows/fade-in.yaml"), or "<inline>" for text that has no file.
	Flows map[string]*Flow `json:"flows"`
	// Env holds the variables of the installation that the definition reads. Jobs
	// read them as env, below their own.
	Env map[string]string `json:"env,omitempty"`
}

// RootFlow returns the definition that was loaded.
func (b *Bundle) RootFlow() *Flow { return b.Flows[b.Root] }

// Flow is a parsed, valid recipe or flow. In a recipe each job starts a flow.
type Flow struct {
	Kind        Kind              `json:"kind"`
	Path        string            `json:"path"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Inputs and Vars are in the order of the file.
	Inputs []Input `json:"inputs,omitempty"`
	Vars   []Var   `json:"vars,omitempty"`
	// OpenInputs marks a flow that reads inputs but declares none, as flows of the
	// first Orchis may. It accepts all inputs unchecked.
	OpenInputs bool  `json:"openInputs,omitempty"`
	Jobs       []Job `json:"jobs"`
	// Outputs is the result; nil means a map of the outputs of all jobs.
	Outputs *expr.Template `json:"outputs,omitempty"`
	// Timeout bounds the whole run (root) or the nested flow; 0 is none.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Parallelism is the most tasks of this flow, nested ones included, that
	// are with workers at once; 0 is no limit.
	Parallelism int `json:"parallelism,omitempty"`
	// Priority is 0 (lowest) to 9; PriorityNormal by default.
	Priority int `json:"priority"`
	// Concurrency limits how many runs of this definition, or nested flows of it,
	// are active at once.
	Concurrency *Concurrency `json:"concurrency,omitempty"`
	Schedules   []Schedule   `json:"schedules,omitempty"`
	// Retention is how long runs are kept after they end; nil means the setting of
	// the orchestrators.
	Retention *Retention `json:"retention,omitempty"`
	// Hooks are in the order in which they run.
	Hooks []Hook `json:"hooks,omitempty"`
}

// Retention is how long succeeded runs, and all others, are kept; 0 means the
// setting of the orchestrators.
type Retention struct {
	Success time.Duration `json:"success,omitempty"`
	Failure time.Duration `json:"failure,omitempty"`
}

// Concurrency is a group with Limit slots, which all runs and workers share.
type Concurrency struct {
	Group *expr.Template `json:"group"`
	Limit int            `json:"limit"`
	// OnLimit is what happens without a free slot: queue, skip, fail or
	// cancelOldest.
	OnLimit string `json:"onLimit"`
}

// RateLimit is a bucket of Limit tokens that refills in Per and that all workers
// share. Each attempt takes one token.
type RateLimit struct {
	Key   *expr.Template `json:"key"`
	Limit int            `json:"limit"`
	Per   time.Duration  `json:"per"`
}

// Hook is what runs after a flow or a job has ended.
type Hook struct {
	On HookOn `json:"on"`
	// Flow is the key in Bundle.Flows of the hook's jobs. They see the inputs,
	// the vars and the jobs of the flow to which the hook belongs.
	Flow string `json:"flow"`
	// Recover turns the failure into a success when the jobs of the hook succeed.
	Recover bool `json:"recover,omitempty"`
}

// HookOn is the outcome after which a hook runs.
type HookOn string

// The hooks, as they are named in files.
const (
	OnFailureHook HookOn = "onFailure"
	OnSuccessHook HookOn = "onSuccess"
	OnCancelHook  HookOn = "onCancel"
	FinallyHook   HookOn = "finally"
)

// HookKinds lists the hooks in the order in which they run.
func HookKinds() []HookOn {
	return []HookOn{OnFailureHook, OnSuccessHook, OnCancelHook, FinallyHook}
}

// Approval is a job that waits until a person approves or rejects.
type Approval struct {
	Message *expr.Template `json:"message,omitempty"`
	// By lists who may answer; anyone when empty.
	By []string `json:"by,omitempty"`
	// Inputs are given with an approval; they become outputs of the job.
	Inputs []Input `json:"inputs,omitempty"`
	// Timeout is how long the job waits (0: forever), and Approve the answer when
	// it is over.
	Timeout time.Duration `json:"timeout,omitempty"`
	Approve bool          `json:"approve,omitempty"`
}

// WaitFor is a job that waits for a signal.
type WaitFor struct {
	Signal *expr.Template `json:"signal"`
	// Match decides whether the job takes a signal of that name; self is the
	// signal.
	Match *expr.Condition `json:"match,omitempty"`
	// Timeout is how long the job waits (0: forever). Then Default is its result;
	// without Default the job fails.
	Timeout time.Duration  `json:"timeout,omitempty"`
	Default *expr.Template `json:"default,omitempty"`
}

// The three priorities that have a name.
const (
	PriorityLow    = 2
	PriorityNormal = 5
	PriorityHigh   = 8
)

// Var is a derived value, computed once when its flow starts; it may use
// inputs and the vars above it.
type Var struct {
	Name  string         `json:"name"`
	Value *expr.Template `json:"value"`
}

// Input declares one input of a recipe or flow.
type Input struct {
	Name        string `json:"name"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is one of InputTypes.
	Type string `json:"type"`
	// Constant inputs have a fixed value (Default) that callers cannot set.
	Constant bool           `json:"constant,omitempty"`
	Default  *expr.Template `json:"default,omitempty"`
	Required bool           `json:"required,omitempty"`
	// Emptiable inputs are texts with a default that may be empty: the file says
	// `required: false`.
	Emptiable bool     `json:"emptiable,omitempty"`
	Enum      []any    `json:"enum,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	MinLen    *int     `json:"minLength,omitempty"`
	MaxLen    *int     `json:"maxLength,omitempty"`
	// Items declares the elements of a list, Properties the keys of a map.
	Items       *Input  `json:"items,omitempty"`
	Properties  []Input `json:"properties,omitempty"`
	Secret      bool    `json:"secret,omitempty"`
	Placeholder string  `json:"placeholder,omitempty"`
}

// InputTypes lists the types an input may have.
func InputTypes() []string {
	return []string{
		"string", "number", "integer", "boolean", "json", "duration", "date",
		"datetime", "list", "map", "file", "url", "secret",
	}
}

// Job is one node of a flow: the work of a handler, or a nested flow.
type Job struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Handler names the code that runs the job; empty when Flow is set.
	Handler string `json:"job,omitempty"`
	// Flow is the key in Bundle.Flows of the nested flow.
	Flow        string       `json:"flow,omitempty"`
	Concurrency *Concurrency `json:"concurrency,omitempty"`
	RateLimit   *RateLimit   `json:"rateLimit,omitempty"`
	// Approval and WaitFor take the place of Handler and Flow. Delay (a duration)
	// and Until (a time) delay the start of any job, or are the job themselves.
	Approval *Approval      `json:"approval,omitempty"`
	WaitFor  *WaitFor       `json:"waitFor,omitempty"`
	Delay    *expr.Template `json:"delay,omitempty"`
	Until    *expr.Template `json:"until,omitempty"`
	// Cache lets other runs reuse the results; nil means off.
	Cache *Cache `json:"cache,omitempty"`
	// KeepArtifacts is how long the job's files are kept after the run ends; 0 means
	// as long as the run.
	KeepArtifacts time.Duration `json:"keepArtifacts,omitempty"`
	// OnFailure runs after the last attempt failed, before dependent jobs are
	// decided.
	OnFailure *Hook `json:"onFailure,omitempty"`
	// Deps are the jobs this one waits for, declared and derived.
	Deps []Dep `json:"deps,omitempty"`
	// Inputs are evaluated just before dispatch; nil when the job has none.
	Inputs *expr.Template  `json:"inputs,omitempty"`
	If     *expr.Condition `json:"if,omitempty"`
	// Iterate is a list or a map (items are {key, value}) with one task for each
	// element. Range takes its place; both are nil when the job is not iterated.
	Iterate     *expr.Template `json:"iterate,omitempty"`
	Range       *Range         `json:"range,omitempty"`
	IteratePick string         `json:"iteratePick,omitempty"`
	// Batch is the number of items of one task; 0 is 1.
	Batch int `json:"batch,omitempty"`
	// Parallelism bounds the items in flight at once; 0 is the dispatch window.
	Parallelism int  `json:"parallelism,omitempty"`
	FailFast    bool `json:"failFast,omitempty"`
	// MaxFailures items may fail without failing the job; MaxFailuresPct is
	// the same as a share of the items, 0 to 100. The larger one counts.
	MaxFailures      int                       `json:"maxFailures,omitempty"`
	MaxFailuresPct   float64                   `json:"maxFailuresPercent,omitempty"`
	Retries          Retries                   `json:"retries"`
	Timeout          time.Duration             `json:"timeout,omitempty"`
	QueueTimeout     time.Duration             `json:"queueTimeout,omitempty"`
	HeartbeatTimeout time.Duration             `json:"heartbeatTimeout,omitempty"`
	ContinueOnError  bool                      `json:"continueOnError,omitempty"`
	Queue            string                    `json:"queue"`
	Priority         int                       `json:"priority"`
	Env              map[string]*expr.Template `json:"env,omitempty"`
	// Secrets lists the names of the secrets that Inputs and Env may use.
	Secrets []string `json:"secrets,omitempty"`
	// Outputs, when not empty, declares the names and types the result must have.
	Outputs []Input `json:"outputs,omitempty"`
}

// Range is the value of `iterate: {from, to, step}`; both ends are included.
type Range struct {
	From *expr.Template `json:"from"`
	To   *expr.Template `json:"to"`
	Step *expr.Template `json:"step,omitempty"`
}

// Dep is an edge to a job this one waits for.
type Dep struct {
	Job string `json:"job"`
	On  DepOn  `json:"on,omitempty"`
	// Implied edges come from a reference in an expression, not from dependsOn.
	Implied bool `json:"implied,omitempty"`
}

// DepOn is the outcome that a job requires of one it depends on.
type DepOn string

// The outcomes that an edge can require.
const (
	OnReady     DepOn = ""          // neither failed nor blocked
	OnSucceeded DepOn = "succeeded" // succeeded, or failed and tolerated
	OnFinished  DepOn = "finished"  // any outcome
	OnFailed    DepOn = "failed"    // failed or blocked
)

// Retries is the retry rule of a job, all defaults filled in.
type Retries struct {
	// Max is the number of attempts after the first that may fail.
	Max int `json:"max"`
	// Backoff is exponential, linear or fixed.
	Backoff  string        `json:"backoff"`
	Delay    time.Duration `json:"delay"`
	MaxDelay time.Duration `json:"maxDelay"`
	Factor   float64       `json:"factor"`
	// Jitter spreads each delay by up to this share of it, 0 to 1.
	Jitter float64 `json:"jitter"`
	// On, when not empty, lists the only error codes that are retried; NotOn lists
	// codes that are never retried.
	On    []string `json:"on,omitempty"`
	NotOn []string `json:"notOn,omitempty"`
	// Within is the time after the first start in which a retry may begin.
	Within time.Duration `json:"within,omitempty"`
	// OnLost is the number of times the worker may be lost.
	OnLost int `json:"onLost"`
}
