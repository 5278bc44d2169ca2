// Package job is what the author of a handler needs: a typed function, a
// registry to put it in, and the means to report progress and failure. It
// knows nothing of Redis.
package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// Func does a job: it gets the job's inputs and returns its result. Both are
// turned from and to JSON. The context ends when the attempt must stop: its
// timeout passed, the run was cancelled, or the worker lost its lease.
//
// A job runs at least once. After a crash it may run again although it had
// done its work; Info(ctx).IdempotencyKey is the same each time.
type Func[In, Out any] func(ctx context.Context, in In) (Out, error)

// Handler does a kind of job on plain JSON.
type Handler interface {
	Run(ctx context.Context, inputs json.RawMessage) (json.RawMessage, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, inputs json.RawMessage) (json.RawMessage, error)

// Run calls the function.
func (f HandlerFunc) Run(ctx context.Context, inputs json.RawMessage) (json.RawMessage, error) {
	return f(ctx, inputs)
}

// Contract says what a handler takes and gives.
type Contract struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Version names the handler's code. Results that are kept by the cache of a
	// job are used again only for the same version. Any text will do.
	Version string `json:"version,omitempty"`
	// Inputs and Outputs are JSON Schemas; nil when nothing is known.
	Inputs  json.RawMessage `json:"inputs,omitempty"`
	Outputs json.RawMessage `json:"outputs,omitempty"`
}

// Option adds to a handler's contract.
type Option func(*Contract)

// Description says in a sentence what the handler does.
func Description(text string) Option { return func(c *Contract) { c.Description = text } }

// Version names the code of the handler, as 2 or 1.4.0. Change it when the same
// inputs give another result, so that no result of the cache is used again.
func Version(text string) Option { return func(c *Contract) { c.Version = text } }

// Registry holds the handlers a worker offers. It is safe for concurrent use.
type Registry struct {
	mu       sync.RWMutex
	handlers map[string]Handler
	contract map[string]Contract
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{handlers: map[string]Handler{}, contract: map[string]Contract{}}
}

// Add puts a handler in. Two handlers of one name are an error.
func (r *Registry) Add(c Contract, h Handler) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Name == "" || strings.ContainsAny(c.Name, " \t\n/\\") {
		return fmt.Errorf("register handler: %q is no name for one", c.Name)
	}
	if _, twice := r.handlers[c.Name]; twice {
		return fmt.Errorf("register handler: there are two named %q", c.Name)
	}
	r.handlers[c.Name], r.contract[c.Name] = h, c
	return nil
}

// Remove takes a handler out.
func (r *Registry) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.handlers, name)
	delete(r.contract, name)
}

// Lookup returns the handler of a name.
func (r *Registry) Lookup(name string) (Handler, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, ok := r.handlers[name]
	return h, ok
}

// Version returns that of a handler, or nothing.
func (r *Registry) Version(name string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.contract[name].Version
}

// Contracts returns what all handlers take and give, by name.
func (r *Registry) Contracts() []Contract {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []Contract
	for _, c := range r.contract {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Contract) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Handle registers a typed function. The contract comes from its types: the
// fields of a struct with their JSON names. It panics when the name is taken
// or no name at all, which is a mistake in the program.
func Handle[In, Out any](r *Registry, name string, fn Func[In, Out], options ...Option) {
	c := Contract{Name: name, Inputs: schemaOf[In](), Outputs: schemaOf[Out]()}
	for _, o := range options {
		o(&c)
	}
	if err := r.Add(c, typed[In, Out](fn)); err != nil {
		panic(err)
	}
}

// namesOf are the names under which the fields of a struct stand in JSON; nil
// for what is no struct, or reads JSON by itself.
func namesOf(t reflect.Type) []string {
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || f.Anonymous && name == "" || f.Tag.Get("json") == "-":
		case name == "":
			names = append(names, f.Name)
		default:
			names = append(names, name)
		}
	}
	return names
}

// byCase refuses names that are those of a field but for the case of letters,
// with which encoding/json is content. Two spellings of a name would be one
// input, of which the last one counts.
func byCase(inputs json.RawMessage, names []string) error {
	var given map[string]json.RawMessage
	if len(names) == 0 || len(inputs) <= len("{}") || json.Unmarshal(inputs, &given) != nil {
		return nil //nolint:nilerr // there are no names
	}
	for name := range given {
		if slices.Contains(names, name) {
			continue
		}
		if i := slices.IndexFunc(names, func(known string) bool { return strings.EqualFold(known, name) }); i >= 0 {
			return fmt.Errorf("unknown field %q (its name is %q)", name, names[i])
		}
	}
	return nil
}

func schemaOf[T any]() json.RawMessage {
	s, err := jsonschema.For[T](&jsonschema.ForOptions{IgnoreInvalidTypes: true})
	if err != nil {
		return nil
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return raw
}

// typed decodes inputs strictly: a name the handler does not know is an error
// of the flow, which no retry can help.
func typed[In, Out any](fn Func[In, Out]) HandlerFunc {
	names := namesOf(reflect.TypeFor[In]())
	return func(ctx context.Context, inputs json.RawMessage) (json.RawMessage, error) {
		var in In
		d := json.NewDecoder(bytes.NewReader(inputs))
		if t := reflect.TypeFor[In](); t.Kind() == reflect.Struct {
			d.DisallowUnknownFields()
		}
		err := d.Decode(&in)
		if err == nil {
			err = byCase(inputs, names)
		}
		if err != nil {
			text := strings.TrimPrefix(err.Error(), "json: ")
			return nil, Permanent(Code(fmt.Errorf("the inputs do not fit: %s", text), "badInput"))
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(out)
		if err != nil {
			return nil, Permanent(fmt.Errorf("write the result: %w", err))
		}
		return raw, nil
	}
}
