SELECT {{ contract_columns() }}
FROM {{ source('contact_center', 'agent_finding') }}
