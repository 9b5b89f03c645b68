/** What is loaded of the Prometheus client, late. A CommonJS package has no names of its own when a bundle loads it so. */
export { Counter, Gauge, Registry } from "prom-client";
