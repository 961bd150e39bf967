"""What users declare: pipelines and jobs, from YAML or the SDK, validated before anything is sent."""
