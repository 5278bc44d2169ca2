package flow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Key describes one key of the language.
type Key struct {
	Name string
	// Doc says in a sentence what it is for.
	Doc    string
	schema map[string]any
}

// The schemas of values.
func ref(name string) map[string]any { return map[string]any{"$ref": "#/$defs/" + name} }
func typed(t string) map[string]any  { return map[string]any{"type": t} }
func least(n int) map[string]any     { return map[string]any{"type": "integer", "minimum": n} }
func one(of ...any) map[string]any   { return map[string]any{"anyOf": of} }
func listOf(x any) map[string]any    { return map[string]any{"type": "array", "items": x} }
func mapOf(x any) map[string]any {
	return map[string]any{"type": "object", "additionalProperties": x}
}

func words(list ...string) map[string]any {
	all := make([]any, len(list))
	for i, w := range list {
		all[i] = w
	}
	return map[string]any{"enum": all}
}
func anything() map[string]any { return map[string]any{} }

// Parts lists the parts of a definition that have keys of their own.
func Parts() []string { return slices.Sorted(maps.Keys(tables())) }

func tables() map[string]func() []Key {
	return map[string]func() []Key{
		"definition": definitionKeys, "job": jobKeys, "step": stepKeys, "retries": retryKeys, "input": inputKeys,
		"defaults": defaultKeys, "concurrency": groupKeys, "rateLimit": rateKeys, "cache": cacheKeys, "approval": approvalKeys,
		"waitFor": signalKeys, "schedule": scheduleKeys, "range": rangeKeys, "retention": retentionKeys, "artifacts": artifactKeys,
		"delay": delayKeys,
	}
}

// Keys returns what is known of the keys of a part of a definition, one of
// Parts; step is what stands under the flows of a recipe.
func Keys(part string) []Key {
	keys := tables()[part]
	if keys == nil {
		return nil
	}
	return keys()
}

func definitionKeys() []Key {
	hook := ref("lateHook")
	return []Key{
		{"name", "Shown to people; the file's name when it is missing.", typed("string")},
		{"description", "Shown to people.", typed("string")},
		{"labels", "Texts to search and group runs by.", ref("texts")},
		{"inputs", "What the definition wants to know, by name: a constant, or a declaration.", mapOf(one(ref("input"), ref("constant")))},
		{"vars", "Values computed once at the start, from inputs and the vars above.", typed("object")},
		{"jobs", "The jobs of a flow, by name.", ref("jobs")},
		{"flows", "The flows that a recipe starts: by name, or a list in which each waits for the one before.", one(ref("steps"), listOf(one(ref("jobName"), ref("steps"))))},
		{"outputs", "The result; the outputs of all jobs when it is missing.", anything()},
		{"defaults", "What jobs below say when they do not say it themselves.", ref("defaults")},
		{"timeout", "The longest time for the whole.", ref("duration")},
		{"parallelism", "The most tasks with workers at once.", least(1)},
		{"priority", "Which tickets come first.", ref("priority")},
		{"concurrency", "How many runs at once, in a group shared by all.", ref("concurrency")},
		{"schedule", "Starts runs by the clock.", one(ref("schedule"), listOf(ref("schedule")))},
		{"retention", "How long runs are kept after they ended.", ref("retention")},
		{"onFailure", "Jobs that run after a failure.", ref("hook")},
		{"onSuccess", "Jobs that run after a success.", hook},
		{"onCancel", "Jobs that run after a cancel.", hook},
		{"finally", "Jobs that run at the end, whatever happened.", hook},
	}
}

// stepKeys are what a job may say that starts a flow, and any other.
func stepKeys() []Key {
	return []Key{
		{"flow", "The flow to start: its name, or its path relative to this file or the project.", typed("string")},
		{"dependsOn", "The jobs this one waits for; a map says for which outcome.", one(typed("string"), listOf(typed("string")), mapOf(words("succeeded", "finished", "failed")))},
		{"inputs", "What goes in; computed just before the attempt.", anything()},
		{"if", "An expression; false skips the job.", one(typed("string"), typed("boolean"))},
		{"iterate", "A task for each element of a list, a map or a range.", one(typed("array"), ref("range"), ref("elements"), map[string]any{"type": "string", "pattern": `^\s*\$\{`})},
		{"iteratePick", "Keep only this path of each result.", typed("string")},
		{"batch", "With iterate: elements of a task.", least(1)},
		{"parallelism", "With iterate: tasks at once.", least(1)},
		{"failFast", "With iterate: start no more after a failure.", typed("boolean")},
		{"maxFailures", `With iterate: how many may fail, a number or a share such as "5%".`, one(least(0), map[string]any{"type": "string", "pattern": `^[0-9.]+%$`})},
		{"retries", "Tries after the first, or a rule for them.", one(least(0), ref("retries"))},
		{"timeout", "The longest time of an attempt, from its start on the worker.", ref("duration")},
		{"continueOnError", "A failure stays visible, and everything goes on.", typed("boolean")},
		{"priority", "Which tickets come first.", ref("priority")},
		{"description", "Shown to people.", typed("string")},
		{"labels", "Texts for people.", ref("texts")},
		{"outputs", "Names and types the result must have.", mapOf(one(ref("type"), ref("input")))},
		{"concurrency", "How many at once, in a group shared by all runs.", ref("concurrency")},
		{"approval", "Waits for somebody to say yes or no.", ref("approval")},
		{"waitFor", "Waits for a signal.", ref("waitFor")},
		{"delay", "Puts off the start, or is the job itself.", one(ref("duration"), map[string]any{"type": "string", "pattern": `\$\{`}, object("", delayKeys(), "until"))},
		{"onFailure", "Jobs that run after the last attempt failed; recover makes it good.", ref("hook")},
	}
}

func jobKeys() []Key {
	return append(stepKeys(), []Key{
		{"job", "The handler that does it.", map[string]any{"type": "string", "pattern": handlerForm.String()}},
		{"workflowPath", "With `job: runWorkflow`: the path of the flow.", typed("string")},
		{"queue", "The workers that do it: those with it in ORCHIS_QUEUES.", ref("name")},
		{"queueTimeout", "The longest wait for a worker.", ref("duration")},
		{"heartbeatTimeout", "The longest silence between two reports of progress.", ref("duration")},
		{"env", "The environment of programs.", mapOf(ref("scalar"))},
		{"secrets", "The secrets that inputs and env may mention.", listOf(ref("scalar"))},
		{"rateLimit", "Tokens of a bucket shared by all workers.", ref("rateLimit")},
		{"cache", "Other runs use the result again.", one(typed("boolean"), ref("cache"))},
		{"artifacts", "How long files that it makes are kept.", ref("artifacts")},
	}...)
}

func retryKeys() []Key {
	return []Key{
		{"max", "Tries after the first.", least(0)},
		{"backoff", "How the pauses grow.", words("exponential", "linear", "fixed")},
		{"delay", "The first pause.", ref("duration")},
		{"maxDelay", "The longest pause.", ref("duration")},
		{"factor", "By how much a pause grows.", map[string]any{"type": "number", "minimum": 1, "maximum": 100}},
		{"jitter", "The share by which pauses are spread.", map[string]any{"type": "number", "minimum": 0, "maximum": 1}},
		{"on", "The only error codes worth a retry.", listOf(ref("scalar"))},
		{"notOn", "Error codes never worth one.", listOf(ref("scalar"))},
		{"within", "The time after the first start in which a retry may begin.", ref("duration")},
		{"onLost", "How often the worker may go away.", least(0)},
	}
}

func inputKeys() []Key {
	number := typed("number")
	return []Key{
		{"type", "Its type; that of the default, or string.", ref("type")},
		{"default", "Taken when nothing is given.", anything()},
		{"required", "Whether it must be given; true without a default.", typed("boolean")},
		{"label", "What people are asked.", typed("string")},
		{"description", "Shown to people.", typed("string")},
		{"placeholder", "An example for people.", typed("string")},
		{"enum", "The only values.", map[string]any{"type": "array", "minItems": 1}},
		{"pattern", "A regular expression that texts must match.", typed("string")},
		{"min", "The least number.", number},
		{"max", "The greatest number.", number},
		{"minLength", "The fewest letters or elements.", least(0)},
		{"maxLength", "The most letters or elements.", least(0)},
		{"items", "The elements of a list: a type, or a declaration.", one(ref("input"), ref("type"))},
		{"properties", "The keys of a map.", mapOf(one(ref("input"), ref("constant")))},
		{"secret", "Not shown where it can be helped.", typed("boolean")},
	}
}

func defaultKeys() []Key {
	return []Key{
		{"retries", "Tries after the first, or a rule for them.", one(least(0), ref("retries"))},
		{"timeout", "The longest time of an attempt.", ref("duration")},
		{"queueTimeout", "The longest wait for a worker.", ref("duration")},
		{"heartbeatTimeout", "The longest silence between two reports of progress.", ref("duration")},
		{"queue", "The workers that do it.", ref("name")},
		{"priority", "Which tickets come first.", ref("priority")},
		{"env", "The environment of programs.", mapOf(ref("scalar"))},
		{"cache", "Other runs use the results again.", one(typed("boolean"), ref("defaultCache"))},
	}
}

func retentionKeys() []Key {
	return []Key{
		{"success", "Runs that succeeded.", ref("duration")},
		{"failure", "Runs that failed or were cancelled.", ref("duration")},
	}
}

func artifactKeys() []Key {
	return []Key{{"keep", "How long after the end of the run.", ref("duration")}}
}

func groupKeys() []Key {
	return []Key{
		{"group", "The name of the group.", anything()},
		{"limit", "How many at once.", least(1)},
		{"onLimit", "What happens without a free slot.", words("queue", "skip", "fail", "cancelOldest")},
	}
}

func rateKeys() []Key {
	return []Key{
		{"key", "The name of the bucket.", anything()},
		{"limit", "Its tokens.", least(1)},
		{"per", "In which time it fills.", ref("duration")},
	}
}

func cacheKeys() []Key {
	return []Key{
		{"key", "What names the result, in place of the inputs.", anything()},
		{"ttl", "How long the result is kept.", ref("duration")},
		{"scope", "Who shares it.", words("recipe", "flow", "global")},
	}
}

func approvalKeys() []Key {
	return []Key{
		{"message", "What is to be decided.", anything()},
		{"by", "Who may answer; anybody when it is missing.", one(typed("string"), listOf(ref("scalar")))},
		{"inputs", "What is asked for with a yes.", mapOf(one(ref("input"), ref("constant")))},
		{"timeout", "How long it waits.", ref("duration")},
		{"onTimeout", "What is taken for the answer then.", words("approve", "reject")},
	}
}

func signalKeys() []Key {
	return []Key{
		{"signal", "The name of the signal.", anything()},
		{"match", "An expression in which self is the signal; others are left alone.", one(typed("string"), typed("boolean"))},
		{"timeout", "How long it waits.", ref("duration")},
		{"default", "The result when none came in time.", anything()},
	}
}

func scheduleKeys() []Key {
	return []Key{
		{"name", "Tells it from the other schedules.", ref("name")},
		{"cron", "Minute, hour, day of month, month, day of week; or @daily and the like.", typed("string")},
		{"timezone", "The zone whose clocks count; UTC.", typed("string")},
		{"overlap", "What happens while the run before is under way.", words("skip", "queue", "allow", "cancelOldest")},
		{"catchup", "How late a missed start is made up for.", ref("duration")},
		{"inputs", "The inputs of its runs.", typed("object")},
		{"enabled", "Whether it starts anything.", typed("boolean")},
	}
}

func delayKeys() []Key { return []Key{{"until", "A time.", typed("string")}} }

func rangeKeys() []Key {
	return []Key{
		{"from", "The first number.", anything()}, {"to", "The last number.", anything()}, {"step", "The distance; 1.", anything()},
	}
}

// object is a map with known keys.
func object(doc string, keys []Key, required ...string) map[string]any {
	properties := map[string]any{}
	for _, k := range keys {
		s := maps.Clone(k.schema)
		s["description"] = k.Doc
		properties[k.Name] = s
	}
	o := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if doc != "" {
		o["description"] = doc
	}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// ContractKeys returns what is known of the keys of a contract in jobs/.
func ContractKeys() []Key {
	return []Key{
		{"handler", "The handler; the file's name when it is missing.", typed("string")},
		{"description", "Shown to people.", typed("string")},
		{"version", "Names the code: cached results of other versions are not used again.", map[string]any{"type": []string{"string", "number"}, "minLength": 1}},
		{"inputs", "What the handler takes, by name.", mapOf(one(ref("input"), ref("constant")))},
		{"outputs", "What it gives: names and types.", mapOf(one(ref("type"), ref("input")))},
	}
}

// Schema returns the JSON Schema (draft 2020-12) of recipes, flows or
// contracts, for editors. What it cannot say, such as dependencies and
// expressions, only reading the definition finds.
func Schema(kind Kind) ([]byte, error) {
	var s map[string]any
	switch kind {
	case KindRecipe, KindFlow:
		s = object("", definitionKeys())
		s["patternProperties"] = map[string]any{"^x-": anything()}
		if s["required"] = []string{"jobs"}; kind == KindRecipe {
			delete(s, "required")
			s["oneOf"] = []any{map[string]any{"required": []string{"flows"}}, map[string]any{"required": []string{"jobs"}}}
		}
	case KindContract:
		s = object("", ContractKeys())
	default:
		return nil, fmt.Errorf("there is no schema %q: write recipe, flow or contract", kind)
	}
	s["$schema"], s["$id"] = "https://json-schema.org/draft/2020-12/schema", "https://orchis.run/schemas/"+string(kind)+".schema.json"
	s["title"], s["$defs"] = "Orchis "+string(kind), schemaDefs()
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// schemaDefs are the schemas to which others refer.
func schemaDefs() map[string]any {
	types := make([]string, 0, len(InputTypes()))
	types = append(types, InputTypes()...)
	slices.Sort(types)
	defs := map[string]any{
		"scalar":   map[string]any{"type": []string{"string", "number", "boolean"}},
		"constant": map[string]any{"type": []string{"string", "number", "boolean", "array", "null"}},
		"texts":    mapOf(ref("scalar")),
		"range":    object("The numbers of a range, both ends included.", rangeKeys(), "from", "to"),
		"elements": map[string]any{"type": "object", "not": map[string]any{"minProperties": 1, "propertyNames": words("from", "to", "step")}},
		"name":     map[string]any{"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": 64},
		"type":     words(types...),
		"duration": one(map[string]any{"type": "string", "pattern": `^[0-9.]+(ns|us|µs|ms|s|m|h|d|w|y)([0-9.]+(ns|us|µs|ms|s|m|h|d|w))*$|^0$`, "description": "90s, 1h30m, 2d"}, map[string]any{"type": "integer", "minimum": 0, "description": "milliseconds"}),
		"priority": one(words("low", "normal", "high"), map[string]any{"type": "integer", "minimum": 0, "maximum": 9}),
		"job":      object("A job: the work of a handler, a nested flow, or something to wait for.", jobKeys()),
		"step":     object("A flow that a recipe starts.", stepKeys()),
		"hook":     map[string]any{"type": "object", "properties": map[string]any{"recover": one(typed("boolean"), ref("job"))}, "additionalProperties": ref("job"), "propertyNames": ref("jobName")},
		"jobs":     map[string]any{"type": "object", "additionalProperties": ref("job"), "propertyNames": ref("jobName")},
		"lateHook": ref("jobs"),
		"steps":    map[string]any{"type": "object", "additionalProperties": one(ref("step"), typed("null")), "propertyNames": ref("jobName")},
		"jobName":  map[string]any{"allOf": []any{ref("name"), map[string]any{"not": words(reserved()...)}}},
		"retries":  object("A rule for retries.", retryKeys()), "input": object("A declaration of an input.", inputKeys()),
		"defaults": object("", defaultKeys()), "concurrency": object("", groupKeys(), "group"), "rateLimit": object("", rateKeys(), "key", "limit"), "cache": object("", cacheKeys()),
		"approval": object("", approvalKeys()), "waitFor": object("", signalKeys(), "signal"), "schedule": object("", scheduleKeys(), "cron"),
		"retention": object("", retentionKeys()), "artifacts": object("", artifactKeys()), "defaultCache": object("", cacheKeys()[1:]),
	}
	for _, part := range []string{"job", "step"} {
		with := map[string]any{}
		for _, key := range iterateKeys() {
			with[key] = []string{"iterate"}
		}
		defs[part].(map[string]any)["dependentRequired"] = with
	}
	return defs
}
