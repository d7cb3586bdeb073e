// Serves what cAdvisor says of every cgroup of this machine at /metrics, for the test of the planner's queries.
//
// The command of cAdvisor is a Go module of its own that the module proxy does not have. Its library is what the kubelet
// embeds, and is taken here as it is there: housekeeping, cgroup readers and the Prometheus collector are cAdvisor's.
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/google/cadvisor/cache/memory"
	"github.com/google/cadvisor/container"
	v2 "github.com/google/cadvisor/info/v2"
	"github.com/google/cadvisor/manager"
	"github.com/google/cadvisor/metrics"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of /metrics")
	prefix := flag.String("cgroup", "/kubepods", "begin of the cgroups that are read, beside the root")
	every := flag.Duration("every", time.Second, "time between two readings of a cgroup")
	flag.Parse()

	// What the queries of the planner ask for, and no more.
	included := container.MetricSet{
		container.CpuUsageMetrics:     {},
		container.MemoryUsageMetrics:  {},
		container.DiskIOMetrics:       {},
		container.NetworkUsageMetrics: {},
	}
	dynamic := false
	housekeeping := manager.HousekeepingConfig{Interval: every, AllowDynamic: &dynamic}
	*manager.HousekeepingInterval = *every
	m, err := manager.New(
		memory.New(2*time.Minute, nil), sysfs.NewRealSysFs(), housekeeping, included,
		http.DefaultClient, []string{*prefix}, nil, "", 0,
	)
	if err != nil {
		log.Fatalf("cAdvisor cannot be made: %v", err)
	}
	if err := m.Start(); err != nil {
		log.Fatalf("cAdvisor cannot be started: %v", err)
	}
	registry := prometheus.NewRegistry()
	all := v2.RequestOptions{IdType: v2.TypeName, Count: 1, Recursive: true}
	registry.MustRegister(metrics.NewPrometheusCollector(m, metrics.DefaultContainerLabels, included, clock.RealClock{}, all))
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	log.Fatal(http.ListenAndServe(*listen, nil))
}
