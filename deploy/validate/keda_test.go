package validate

import (
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// scaledObject is the part of KEDA's type of this name that is used here.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef  reference `json:"scaleTargetRef"`
		MinReplicaCount int       `json:"minReplicaCount"`
		MaxReplicaCount int       `json:"maxReplicaCount"`
		PollingInterval int       `json:"pollingInterval"`
		CooldownPeriod  int       `json:"cooldownPeriod"`
		Advanced        struct {
			ScalingModifiers struct {
				Formula          string `json:"formula"`
				Target           string `json:"target"`
				ActivationTarget string `json:"activationTarget"`
				MetricType       string `json:"metricType"`
			} `json:"scalingModifiers"`
		} `json:"advanced"`
		Triggers []trigger `json:"triggers"`
	} `json:"spec"`
}

type reference struct {
	Name string `json:"name"`
}

type trigger struct {
	Type              string            `json:"type"`
	Name              string            `json:"name"`
	MetricType        string            `json:"metricType"`
	Metadata          map[string]string `json:"metadata"`
	AuthenticationRef reference         `json:"authenticationRef"`
}

type triggerAuthentication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		SecretTargetRef []struct {
			Parameter string `json:"parameter"`
			Name      string `json:"name"`
			Key       string `json:"key"`
		} `json:"secretTargetRef"`
	} `json:"spec"`
}

// known are the fields of KEDA's scalers that may be given.
var known = map[string][]string{
	"redis-streams": {"address", "stream", "streamLength", "enableTLS", "databaseIndex"},
	"prometheus":    {"serverAddress", "query", "threshold", "activationThreshold"},
}

// scales checks that what KEDA scales is there, and that nothing else says how
// many there are.
func (m manifests) scales(t *testing.T) {
	t.Helper()
	o, ok := m["ScaledObject/worker"].(*scaledObject)
	if !ok {
		return
	}
	o.check(t)
	worker, ok := m["Deployment/"+o.Spec.ScaleTargetRef.Name].(interface{ GetName() string })
	if !ok {
		t.Fatalf("there is no Deployment %s", o.Spec.ScaleTargetRef.Name)
	}
	if d, err := yaml.Marshal(worker); err != nil || strings.Contains(string(d), "\n  replicas:") {
		t.Errorf("the Deployment says how many workers there are, and so does KEDA (%v)", err)
	}
	slots := m.environment(t, m.pods()["worker"].Spec.Containers[0])["ORCHIS_SLOTS"]
	if target := o.Spec.Advanced.ScalingModifiers.Target; target != slots {
		t.Errorf("there is a worker for %s tickets, which has %s slots", target, slots)
	}
	for _, tr := range o.Spec.Triggers {
		auth, ok := m["TriggerAuthentication/"+tr.AuthenticationRef.Name].(*triggerAuthentication)
		if !ok {
			t.Fatalf("there is no TriggerAuthentication %s", tr.AuthenticationRef.Name)
		}
		for _, ref := range auth.Spec.SecretTargetRef {
			secret, ok := m["Secret/"+ref.Name].(*corev1.Secret)
			if !ok || len(secret.Data[ref.Key]) == 0 {
				t.Errorf("%s of KEDA is %s of the Secret %s, which is not there", ref.Parameter, ref.Key, ref.Name)
			}
		}
	}
}

// check checks triggers; a consumerGroup would make KEDA go by pending entries.
func (o *scaledObject) check(t *testing.T) {
	t.Helper()
	formula := strings.Fields(strings.ReplaceAll(o.Spec.Advanced.ScalingModifiers.Formula, "+", " "))
	for _, tr := range o.Spec.Triggers {
		for field := range tr.Metadata {
			if !slices.Contains(known[tr.Type], field) {
				t.Errorf("the trigger %s has %s", tr.Type, field)
			}
		}
		if len(formula) > 0 && !slices.Contains(formula, tr.Name) {
			t.Errorf("the formula leaves %s out", tr.Name)
		}
	}
	if len(formula) > 0 && len(formula) != len(o.Spec.Triggers) {
		t.Errorf("the formula adds up %v", formula)
	}
	if o.Spec.MinReplicaCount != 0 || o.Spec.MaxReplicaCount < 2 {
		t.Errorf("from %d to %d workers", o.Spec.MinReplicaCount, o.Spec.MaxReplicaCount)
	}
}

func TestTheScaledObjectOfPrometheusIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../keda/scaledobject-prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var o scaledObject
	if err := decode(text, &o); err != nil {
		t.Fatal(err)
	}
	o.check(t)
	if len(o.Spec.Triggers) != 1 || o.Kind != "ScaledObject" || o.APIVersion != "keda.sh/v1alpha1" {
		t.Errorf("it is %+v", o)
	}
}
