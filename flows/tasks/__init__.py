"""What flows do between the catalog and the runner. Plain functions: Prefect's tasks would only cost its server time."""
