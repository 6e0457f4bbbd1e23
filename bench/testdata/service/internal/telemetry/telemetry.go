// Package telemetry sends traces and metrics to a collector.
package telemetry

import (
	"context"

	"github.com/getsentry/sentry-go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"example.com/service/internal/config"
)

// Start sends to the collector of the settings, if there is one, until end is called.
func Start(ctx context.Context, s config.Settings) (end func(context.Context), err error) {
	if s.Collect == "" {
		return func(context.Context) {}, nil
	}
	if err := sentry.Init(sentry.ClientOptions{Release: "service"}); err != nil {
		return nil, err
	}
	traces, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(s.Collect))
	if err != nil {
		return nil, err
	}
	more, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	metrics, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(s.Collect))
	if err != nil {
		return nil, err
	}
	tracer := trace.NewTracerProvider(trace.WithBatcher(traces), trace.WithBatcher(more))
	meter := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)))
	otel.SetTracerProvider(tracer)
	otel.SetMeterProvider(meter)
	return func(ctx context.Context) {
		_ = tracer.Shutdown(ctx)
		_ = meter.Shutdown(ctx)
	}, nil
}
