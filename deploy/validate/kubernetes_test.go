package validate

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests are those of an overlay, by kind and name.
type manifests map[string]any

func newOf(kind string) any {
	switch kind {
	case "Namespace":
		return &corev1.Namespace{}
	case "ServiceAccount":
		return &corev1.ServiceAccount{}
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "Secret":
		return &corev1.Secret{}
	case "Service":
		return &corev1.Service{}
	case "PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	case "Deployment":
		return &appsv1.Deployment{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	case "ScaledObject":
		return &scaledObject{}
	case "TriggerAuthentication":
		return &triggerAuthentication{}
	}
	return nil
}

// overlay builds an overlay as kubectl apply -k does, with the secrets that
// deploy/secrets.sh makes, and reads all of it; what a type does not have is a
// mistake.
func overlay(t *testing.T, name string, more ...string) manifests {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"kubernetes", "keda"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join("..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	secrets := filepath.Join(dir, "kubernetes", name, "secret.env")
	if err := os.WriteFile(secrets, []byte(strings.Join(more, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "../secrets.sh", secrets, "ORCHIS_API_TOKEN", "ORCHIS_SIGNING_KEY").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, "kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	all := manifests{}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o := newOf(r.GetKind())
		if o == nil {
			t.Fatalf("the kind %s is not known here", r.GetKind())
		}
		if err := decode(text, o); err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
		if ns := r.GetNamespace(); r.GetKind() != "Namespace" && ns != "orchis" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), r.GetName(), ns)
		}
		all[r.GetKind()+"/"+r.GetName()] = o
	}
	return all
}

// decode reads a document as the API server does: fields are those of the type,
// capital letters included.
func decode(text []byte, o any) error {
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	wrong, err := json.UnmarshalStrict(raw, o)
	return errors.Join(append(wrong, err)...)
}

func TestOverlaysAreValid(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{
		"trial":      {"REDIS_URL=redis://redis:6379"},
		"production": {"REDIS_URL=rediss://redis.example.org:6379", "REDIS_USERNAME=scaler", "REDIS_PASSWORD=x", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := overlay(t, name, more...)
			pods := all.pods()
			for _, want := range []string{"orchestrator", "worker"} {
				if _, ok := pods[want]; !ok {
					t.Fatalf("there is no %s among %v", want, slices.Sorted(maps.Keys(all)))
				}
			}
			for name, pod := range pods {
				all.confined(t, name, pod.Spec)
				all.refers(t, name, pod.Spec)
			}
			all.selects(t, pods)
			all.drains(t, pods)
			all.scales(t)
		})
	}
}

// pods are the templates of pods, by the name of what makes them.
func (m manifests) pods() map[string]corev1.PodTemplateSpec {
	out := map[string]corev1.PodTemplateSpec{}
	for _, o := range m {
		switch o := o.(type) {
		case *appsv1.Deployment:
			out[o.Name] = o.Spec.Template
		case *appsv1.StatefulSet:
			out[o.Name] = o.Spec.Template
		}
	}
	return out
}

// confined checks what the Pod Security Standard "restricted" asks for, and more.
func (m manifests) confined(t *testing.T, name string, pod corev1.PodSpec) {
	t.Helper()
	s := pod.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s runs as %+v", name, s)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s has a token of the cluster", name)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s is not confined: %+v", name, s)
		}
		if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s lacks probes or resources", name)
		}
		if name != "redis" && (c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.StartupProbe.HTTPGet.Path != "/healthz") {
			t.Errorf("%s is probed otherwise than health checks are answered", name)
		}
	}
}

// refers checks that what a pod names is there.
func (m manifests) refers(t *testing.T, name string, pod corev1.PodSpec) {
	t.Helper()
	has := func(kind, name string, optional *bool) {
		if _, ok := m[kind+"/"+name]; !ok && (optional == nil || !*optional) {
			t.Errorf("there is no %s %s", kind, name)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		switch {
		case v.ConfigMap != nil:
			has("ConfigMap", v.ConfigMap.Name, v.ConfigMap.Optional)
		case v.Secret != nil:
			has("Secret", v.Secret.SecretName, v.Secret.Optional)
		case v.PersistentVolumeClaim != nil:
			has("PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName, nil)
		}
	}
	if pod.ServiceAccountName != "" {
		has("ServiceAccount", pod.ServiceAccountName, nil)
	}
	for _, c := range pod.Containers {
		for _, mount := range c.VolumeMounts {
			if name != "redis" && !volumes[mount.Name] {
				t.Errorf("%s mounts %s, which is no volume", name, mount.Name)
			}
		}
		for key := range m.environment(t, c) {
			if name != "redis" && !slices.Contains(settings(t), key) && !strings.HasPrefix(key, "AWS_") && key != "HOME" {
				t.Errorf("%s sets %s, which is no setting", name, key)
			}
		}
	}
}

// environment is what a container gets, by name; values of Secrets are given.
func (m manifests) environment(t *testing.T, c corev1.Container) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, from := range c.EnvFrom {
		settings, ok := m["ConfigMap/"+from.ConfigMapRef.Name].(*corev1.ConfigMap)
		if !ok {
			t.Fatalf("there is no ConfigMap %s", from.ConfigMapRef.Name)
		}
		maps.Copy(out, settings.Data)
	}
	for _, e := range c.Env {
		out[e.Name] = e.Value
		if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
			continue
		}
		ref := e.ValueFrom.SecretKeyRef
		secret, ok := m["Secret/"+ref.Name].(*corev1.Secret)
		if !ok {
			t.Fatalf("there is no Secret %s", ref.Name)
		}
		value := string(secret.Data[ref.Key])
		if value == "" && (ref.Optional == nil || !*ref.Optional) {
			t.Errorf("the Secret %s has no %s", ref.Name, ref.Key)
		}
		out[e.Name] = value
	}
	return out
}

// settings are those that .env-example names.
func settings(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../.env-example")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?m)^# ([A-Z_]+)=`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, found[1])
	}
	return names
}

// selects checks that whatever selects pods selects some.
func (m manifests) selects(t *testing.T, pods map[string]corev1.PodTemplateSpec) {
	t.Helper()
	for key, o := range m {
		var want map[string]string
		switch o := o.(type) {
		case *corev1.Service:
			want = o.Spec.Selector
		case *policyv1.PodDisruptionBudget:
			want = o.Spec.Selector.MatchLabels
		case *networkingv1.NetworkPolicy:
			want = o.Spec.PodSelector.MatchLabels
		case *appsv1.Deployment:
			want = o.Spec.Selector.MatchLabels
		case *appsv1.StatefulSet:
			want = o.Spec.Selector.MatchLabels
		default:
			continue
		}
		found := false
		for _, pod := range pods {
			all := len(want) > 0
			for label, value := range want {
				all = all && pod.Labels[label] == value
			}
			found = found || all
		}
		if !found {
			t.Errorf("%s selects %v, and no pod is that", key, want)
		}
	}
	for _, guarded := range []string{"orchestrator", "worker"} {
		if m["NetworkPolicy/"+guarded] == nil || m["PodDisruptionBudget/"+guarded] == nil {
			t.Errorf("%s has no NetworkPolicy or no PodDisruptionBudget", guarded)
		}
	}
}

// drains checks that pods have the time that their programs take to stop.
func (m manifests) drains(t *testing.T, pods map[string]corev1.PodTemplateSpec) {
	t.Helper()
	worker := pods["worker"].Spec
	grace := m.environment(t, worker.Containers[0])["ORCHIS_SHUTDOWN_GRACE"]
	if grace != "50s" || *worker.TerminationGracePeriodSeconds < 58 {
		t.Errorf("workers are killed %d s after SIGTERM, their grace is %s", *worker.TerminationGracePeriodSeconds, grace)
	}
	if _, has := m.environment(t, worker.Containers[0])["ORCHIS_API_TOKEN"]; has {
		t.Error("workers get the token of the API")
	}
}
